//! Projects as tests want them: `lunchbadger.json` from a short description.

pub(crate) use lb_testkit::project::{Gateway, file};

use crate::world::{Producer, World};

/// Pushes a project with these gateways; answers the `remote:` lines.
pub(crate) async fn push(producer: &Producer, gateways: &[Gateway]) -> Vec<String> {
    producer.dev.write("lunchbadger.json", file(&producer.name, gateways, false));
    producer.dev.commit_and_push("Change the project").await.1
}

/// A producer with one gateway, `main`, that is applied.
pub(crate) async fn standing(world: &World, prefix: &str) -> Producer {
    let producer = world.producer(prefix).await;
    push(&producer, &[Gateway::new("g1", "main", &["/a"])]).await;
    world.applied(&producer).await;
    producer
}

/// `serverless.yml` of a function of `producer` in `dev`.
pub(crate) fn serverless(producer: &str, service: &str) -> String {
    format!(
        "service: {service}\nprovider: {{ name: kubeless, runtime: \"nodejs:8\" }}\n\
         functions: {{ fn-{producer}-dev-{service}: {{ handler: handler.fn }} }}\n"
    )
}
