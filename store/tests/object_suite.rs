//! Every kind of store passes the suite.

use std::collections::HashMap;

use store::testing::{object_suite, object_suite_with};
use store::{Env, ObjectClient};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    object_suite(&|_| ObjectClient::open("memory:", &Env::system()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn directory() {
    let folder = tempfile::tempdir().unwrap();
    object_suite(&|name| ObjectClient::open(&format!("file://{}/{name}", folder.path().display()), &Env::system()).unwrap()).await;
}

/// Against the S3 server that `TARN_TEST_S3_URL` (`s3://bucket/prefix`) and the `AWS_*` variables name; skipped without it. `TARN_TEST_S3_RACE_ROUNDS` (default 5) is
/// the length of the race: 16 writers of one key take SeaweedFS some seconds a round, because it polls for its lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3() {
    let Ok(url) = std::env::var("TARN_TEST_S3_URL") else {
        eprintln!("skipped: TARN_TEST_S3_URL is not set");
        return;
    };
    let env = Env::system();
    let run = format!("{}/suite-{:016x}", url.trim_end_matches('/'), env.random_u64());
    let variables: HashMap<String, String> = std::env::vars().collect();
    let rounds = std::env::var("TARN_TEST_S3_RACE_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    object_suite_with(&|name| ObjectClient::open_with(&format!("{run}/{name}"), &env, variables.clone()).unwrap(), rounds).await;
    let everything = ObjectClient::open_with(&run, &env, variables.clone()).unwrap();
    for info in everything.list("").await.unwrap() {
        everything.delete(&info.key).await.unwrap();
    }
}
