//! What every host does alike: each of these runs over the embedded host and over a real Gitea.

pub(crate) mod changes;
mod people;
mod pushes;
mod trees;
pub(crate) mod world;

/// Makes two tests of each function, which takes a [`world::World`]: one over the embedded host, one over Gitea.
macro_rules! over_every_host {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::contract::world::World::embedded().await).await;
                }
            )+
        }
        mod gitea {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(world) = $crate::contract::world::World::gitea().await {
                        super::$name(world).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use over_every_host;
