//! How fast saves are: told with `--nocapture`, and bounded far below what is measured.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use crate::world::{World, answer};

#[tokio::test(flavor = "multi_thread")]
async fn saves_share_the_disk() {
    const EACH: usize = 50;
    let world = World::new().await;
    let pod = Arc::new(world.pod().await);
    pod.pushed().await;
    let begin = Instant::now();
    let writers = (0..4).map(|writer| {
        let pod = Arc::clone(&pod);
        async move {
            for number in 0..EACH {
                let files = json!({"files": {"server": {"models": {format!("m{writer}.json"): format!("{{\"n\": {number}}}")}}}});
                assert_eq!(answer(pod.request("writer", "PUT", "/api/WorkspaceFiles/files").json(&files)).await.0, 200);
            }
        }
    });
    futures::future::join_all(writers).await;
    let (took, saves) = (begin.elapsed(), 4 * EACH);
    #[expect(clippy::print_stderr, reason = "a figure for whoever asks for it")]
    {
        eprintln!("{saves} saves, 4 in flight: {took:?}, {:.0} a second", saves as f64 / took.as_secs_f64());
    }
    pod.pushed().await;
    let count = world.clone().await.run(&["rev-list", "--count", "HEAD"]).await;
    assert_eq!(count.parse::<usize>().unwrap(), saves + 1, "a commit for each");
    assert!(took.as_secs() < 20, "{took:?}");
}
