//! The start-up checks refuse every store that breaks a guarantee, and say which.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use bytes::Bytes;
use store::testing::{Fault, FaultyStore, Weakness};
use store::{Env, ErrorKind, ObjectClient, StoreError};

fn memory() -> ObjectClient {
    ObjectClient::open("memory:", &Env::system()).unwrap()
}

#[tokio::test]
async fn a_store_that_keeps_its_word_passes_and_is_left_clean() {
    let client = memory();
    client.probe().await.unwrap();
    assert!(client.list("").await.unwrap().is_empty());
}

#[tokio::test]
async fn each_broken_guarantee_is_named() {
    for (weakness, guarantee) in [
        (Weakness::CreateOverwrites, "create-if-absent (a PUT with If-None-Match: *)"),
        (Weakness::CreateRaces, "create-if-absent when writers race"),
        (Weakness::SwapIgnoresVersion, "compare-and-swap"),
        (Weakness::SwapCreates, "compare-and-swap"),
        (Weakness::StaleList, "list-after-write"),
        (Weakness::DeletedInList, "read-after-delete"),
        (Weakness::StaleRead, "read-after-write"),
        (Weakness::FoldsCase, "upper and lower case"),
    ] {
        let (client, faults) = FaultyStore::wrap(&memory());
        faults.weaken(Some(weakness));
        let error = client.probe().await.expect_err(&format!("{weakness:?} must be found"));
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{weakness:?}: {}", error.chain());
        assert!(error.to_string().contains(guarantee), "{weakness:?}: {error}");
        assert!(error.to_string().contains("; use a "), "says what to do: {error}");
        faults.weaken(None);
        assert!(client.list("").await.unwrap().is_empty(), "{weakness:?}: scratch objects are removed");
    }
}

#[tokio::test]
async fn passing_trouble_is_no_broken_guarantee() {
    for seed in 0..40 {
        let (client, faults) = FaultyStore::wrap(&memory());
        faults.seeded(seed, 6);
        if let Err(error) = client.probe().await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "seed {seed}: {}", error.chain());
        }
    }
}

#[tokio::test]
async fn a_newer_or_broken_format_is_refused() {
    for (body, kind, text) in [
        ("{\"format_version\":2,\"unknown\":true}", ErrorKind::Unsupported, "format version 2"),
        ("{\"format_version\":0}", ErrorKind::Corrupt, "tarn.json"),
        ("{}", ErrorKind::Corrupt, "tarn.json"),
        ("not json", ErrorKind::Corrupt, "tarn.json"),
    ] {
        let client = memory();
        client.create("tarn.json", Bytes::from(body)).await.unwrap();
        let error = client.ensure_format().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{body}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let client = memory();
    client.create("tarn.json", Bytes::from("{\"format_version\":1,\"later\":\"field\"}")).await.unwrap();
    client.ensure_format().await.unwrap();
}

#[tokio::test]
async fn two_processes_may_start_on_a_new_store() {
    let honest = memory();
    let (client, faults) = FaultyStore::wrap(&honest);
    faults.script([(store::object::Op::Put, Fault::FailAfter)]);
    client.ensure_format().await.unwrap();
    honest.ensure_format().await.unwrap();
}

#[tokio::test]
async fn a_directory_with_other_things_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let open = || ObjectClient::open(folder.path().to_str().unwrap(), &Env::system()).unwrap();
    std::fs::write(folder.path().join("thesis.tex"), "x").unwrap();
    let error = open().ensure_format().await.unwrap_err();
    assert!(matches!(&error, StoreError::Foreign { found, .. } if found == "thesis.tex"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was written");
    std::fs::remove_file(folder.path().join("thesis.tex")).unwrap();
    std::fs::create_dir_all(folder.path().join("t=fake/l0")).unwrap();
    std::fs::write(folder.path().join(".gitignore"), "*").unwrap();
    open().ensure_format().await.unwrap();
    std::fs::write(folder.path().join("README"), "mine").unwrap();
    open().ensure_format().await.unwrap();
}
