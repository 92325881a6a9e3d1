//! Our own state in ConfigMaps.

use lb_cluster::Retry;
use lb_testkit::unique;

use crate::support::{connect, shared};

#[tokio::test]
async fn state_is_written_only_over_the_version_that_was_read() {
    let shared = shared().await;
    let cluster = connect(shared.kubeconfig()).await;
    let namespace = shared.namespace("state").await;
    let name = unique("lunchbadger-brake-");
    assert_eq!(cluster.read_config(&namespace, &name).await.unwrap(), None);
    let data = |text: &str| [("state".to_owned(), text.to_owned())].into();
    let first = cluster.write_config(&namespace, &name, &data("one"), None).await.unwrap();
    let again = cluster.write_config(&namespace, &name, &data("two"), None).await.unwrap_err();
    assert!(again.is_conflict(), "{again}");
    let read = cluster.read_config(&namespace, &name).await.unwrap().unwrap();
    assert_eq!((read.data, read.version), (data("one"), first));
    let second = cluster.write_config(&namespace, &name, &data("two"), Some(first)).await.unwrap();
    assert!(second > first);
    let stale = cluster.write_config(&namespace, &name, &data("three"), Some(first)).await.unwrap_err();
    assert_eq!((stale.is_conflict(), stale.retry()), (true, Retry::Soon));
    assert_eq!(cluster.read_config(&namespace, &name).await.unwrap().unwrap().data, data("two"));
}
