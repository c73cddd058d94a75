//! What only a directory store has to prove: crashes, several processes, files of others, and agreement with a model.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a helper that fails fails its test; a child process tells its parent by lines"
)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use schema::Timestamp;
use store::object::Version;
use store::testing::swap_counter;
use store::{Env, ErrorKind, ObjectClient, PutOutcome, SwapOutcome};

fn open(folder: &Path) -> ObjectClient {
    ObjectClient::open(folder.to_str().unwrap(), &Env::system()).unwrap()
}

/// A body that says itself whether it is whole: its length in decimal, and then a byte that repeats.
fn sealed(length: usize, fill: u8) -> Bytes {
    let mut body = format!("{length:>10}").into_bytes();
    body.resize(10 + length, fill);
    Bytes::from(body)
}

fn is_whole(body: &[u8]) -> bool {
    let Some((head, rest)) = body.split_at_checked(10) else { return false };
    let length: usize = std::str::from_utf8(head).unwrap().trim().parse().unwrap();
    rest.len() == length && rest.iter().all(|byte| Some(byte) == rest.first())
}

/// Not a test of its own: the process that the tests below start, and kill.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_process() {
    let (Ok(folder), Ok(work)) = (std::env::var("TARN_TEST_CHILD_FOLDER"), std::env::var("TARN_TEST_CHILD_WORK")) else { return };
    let client = open(Path::new(&folder));
    match work.as_str() {
        "write until killed" => write_until_killed(&client).await,
        "count" => swap_counter(&client, "m/counter", 4, 10).await,
        "race" => {
            for round in 0..60 {
                let body = sealed(2000, u8::try_from(std::process::id() % 200).unwrap());
                if client.create(&format!("race/{round}"), body).await.unwrap() == PutOutcome::Created {
                    println!("won {round}.");
                }
            }
        }
        other => panic!("no such work: {other}"),
    }
}

async fn write_until_killed(client: &ObjectClient) {
    let id = std::process::id();
    let creates = async {
        for number in 0u32.. {
            let fill = u8::try_from(number % 256).unwrap();
            client.create(&format!("l0/{}/{id}-{number}", number % 5), sealed(usize::try_from(number % 7).unwrap() * 50_000, fill)).await.unwrap();
            println!("created l0/{}/{id}-{number}.", number % 5);
        }
    };
    let swaps = async {
        for number in 0u32.. {
            let current = client.get_versioned("m/day").await.unwrap().map(|(_, version)| version);
            let body = sealed(100_000 + usize::try_from(number % 1000).unwrap(), u8::try_from(number % 256).unwrap());
            match client.swap("m/day", body, current.as_ref()).await.unwrap() {
                SwapOutcome::Committed(_) | SwapOutcome::Conflict => {}
                SwapOutcome::Unknown => panic!("a local store knows what it did"),
            }
        }
    };
    tokio::join!(creates, swaps);
}

fn start(folder: &Path, work: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child_process", "--exact", "--nocapture", "--test-threads=1"])
        .env("TARN_TEST_CHILD_FOLDER", folder)
        .env("TARN_TEST_CHILD_WORK", work)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The words after `tag` in the child's output, each ended by a full stop: a line that was cut off does not count.
fn told(mut child: Child, tag: &str) -> Vec<String> {
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    child.wait().unwrap();
    let output = String::from_utf8(output).unwrap();
    output.lines().filter_map(|line| Some(line.split_once(tag)?.1.trim().strip_suffix('.')?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_no_torn_object_and_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let mut created = Vec::new();
    for round in 0..12u64 {
        let mut child = start(folder.path(), "write until killed");
        std::thread::sleep(Duration::from_millis(150 + 37 * round));
        child.kill().unwrap();
        created.extend(told(child, "created "));
        let client = open(folder.path());
        let listed = client.list("").await.unwrap();
        for info in &listed {
            assert!(info.key.starts_with("l0/") || info.key == "m/day", "{} is listed", info.key);
            assert!(is_whole(&client.get(&info.key).await.unwrap()), "{} is torn", info.key);
        }
        for key in &created {
            assert!(listed.iter().any(|info| info.key == *key), "{key} was acknowledged");
        }
        // The lock is free: with a stuck one this would wait for ever.
        let swap = async {
            let version = client.get_versioned("m/day").await.unwrap().map(|(_, version)| version);
            client.swap("m/day", sealed(5, 1), version.as_ref()).await.unwrap()
        };
        assert!(matches!(tokio::time::timeout(Duration::from_secs(5), swap).await.unwrap(), SwapOutcome::Committed(_)));
        assert_eq!(std::fs::read_dir(folder.path().join(".tarn/tmp")).unwrap().count(), 0, "the first write removes what killed processes left");
    }
    assert!(created.len() > 20, "the children did something: {}", created.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_write_spares_the_unfinished_files_of_living_processes() {
    let folder = tempfile::tempdir().unwrap();
    let unfinished = folder.path().join(".tarn/tmp");
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("dead"), "half a bo").unwrap();
    let living = std::fs::File::create(unfinished.join("living")).unwrap();
    living.lock().unwrap();
    let client = open(folder.path());
    assert!(client.list("").await.unwrap().is_empty());
    client.create("a", Bytes::from_static(b"x")).await.unwrap();
    let left: Vec<_> = std::fs::read_dir(&unfinished).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["living"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let racers: Vec<Child> = (0..3).map(|_| start(folder.path(), "race")).collect();
    let wins: Vec<Vec<String>> = racers.into_iter().map(|child| told(child, "won ")).collect();
    let mut all: Vec<u32> = wins.iter().flatten().map(|round| round.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..60).collect::<Vec<u32>>(), "every round has one winner in one process");

    let counters: Vec<Child> = (0..2).map(|_| start(folder.path(), "count")).collect();
    // Both processes append the same 40 names; each name is in the object once, whoever wrote it.
    for mut child in counters {
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(child.wait().unwrap().success(), "{output}");
    }
    let body = open(folder.path()).get("m/counter").await.unwrap();
    assert_eq!(body.iter().filter(|byte| **byte == b'\n').count(), 40);
}

#[tokio::test]
async fn a_version_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    // A clock that stands still, and bodies of one size.
    let client = ObjectClient::open(folder.path().to_str().unwrap(), &Env::fixed(Timestamp(1_700_000_000_000_000_000))).unwrap();
    let mut seen = std::collections::HashSet::new();
    let mut version: Option<Version> = None;
    for round in 0..200u32 {
        if round % 10 == 9 {
            client.delete("m").await.unwrap();
            version = None;
        }
        let SwapOutcome::Committed(new) = client.swap("m", Bytes::from(format!("{round:04}")), version.as_ref()).await.unwrap() else {
            panic!("round {round}")
        };
        assert!(seen.insert(new.clone()), "round {round} has the version {new} again");
        version = Some(new);
    }
}

#[tokio::test]
async fn what_a_directory_cannot_do_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let client = open(folder.path());
    client.create("a/b", Bytes::from_static(b"1")).await.unwrap();
    for key in ["a", "a/b/c"] {
        let error = client.create(key, Bytes::from_static(b"2")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("directory store"), "{error}");
    }
    assert_eq!(client.head("a/b/c").await.unwrap(), None);
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let url = format!("file://{}/file", folder.path().display());
    assert!(ObjectClient::open(&url, &Env::system()).unwrap_err().to_string().contains("needs a directory"));
    // Somebody removes the folders under a running process: writes go on.
    std::fs::remove_dir_all(folder.path().join("a")).unwrap();
    assert_eq!(client.create("a/b", Bytes::from_static(b"3")).await.unwrap(), PutOutcome::Created);
    std::fs::remove_dir_all(folder.path().join(".tarn")).unwrap();
    assert_eq!(client.create("a/c", Bytes::from_static(b"4")).await.unwrap(), PutOutcome::Created);
    assert_eq!(client.list("a").await.unwrap().len(), 2);
}

#[tokio::test]
async fn opening_and_reading_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet");
    let client = ObjectClient::open(path.to_str().unwrap(), &Env::system()).unwrap();
    assert!(client.list("").await.unwrap().is_empty());
    assert_eq!(client.head("x").await.unwrap(), None);
    client.delete("x").await.unwrap();
    assert!(!folder.path().join("not").exists());
    client.create("x", Bytes::new()).await.unwrap();
    assert!(path.join("x").is_file());
}

#[derive(Clone, Debug)]
enum Step {
    Create(usize, u8),
    /// Swap from the current version, or from an old one.
    Swap(usize, u8, bool),
    Delete(usize),
    Reopen,
}

const KEYS: [&str; 5] = ["a", "b/x", "b/y", "c/d/e", "c/d/f"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..KEYS.len(), any::<u8>()).prop_map(|(key, fill)| Step::Create(key, fill)),
        (0..KEYS.len(), any::<u8>(), any::<bool>()).prop_map(|(key, fill, stale)| Step::Swap(key, fill, stale)),
        (0..KEYS.len()).prop_map(Step::Delete),
        Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// A directory and a map do the same.
    #[test]
    fn agrees_with_a_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agree(steps))?;
    }
}

async fn agree(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let mut client = open(folder.path());
    let mut model: BTreeMap<&str, Bytes> = BTreeMap::new();
    let mut old_versions: BTreeMap<&str, Version> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Create(key, fill) => {
                let (key, body) = (KEYS[key], Bytes::from(vec![fill; usize::from(fill)]));
                let expected = if model.contains_key(key) { PutOutcome::AlreadyExists } else { PutOutcome::Created };
                prop_assert_eq!(client.create(key, body.clone()).await.unwrap(), expected);
                model.entry(key).or_insert(body);
            }
            Step::Swap(key, fill, stale) => {
                let (key, body) = (KEYS[key], Bytes::from(vec![fill; usize::from(fill) + 300]));
                let current = client.head(key).await.unwrap().map(|info| info.version);
                let expected = if stale { old_versions.get(key).cloned() } else { current.clone() };
                // A body that is there already counts as committed; bodies of this test may repeat.
                let holds = expected == current || model.get(key) == Some(&body);
                let outcome = client.swap(key, body.clone(), expected.as_ref()).await.unwrap();
                prop_assert_eq!(matches!(outcome, SwapOutcome::Committed(_)), holds, "{:?}", outcome);
                if holds {
                    model.insert(key, body);
                }
                if let Some(current) = current {
                    old_versions.insert(key, current);
                }
            }
            Step::Delete(key) => {
                client.delete(KEYS[key]).await.unwrap();
                model.remove(KEYS[key]);
            }
            Step::Reopen => client = open(folder.path()),
        }
        let listed: Vec<(String, u64)> = client.list("").await.unwrap().into_iter().map(|info| (info.key, info.size)).collect();
        let expected: Vec<(String, u64)> = model.iter().map(|(key, body)| ((*key).to_owned(), body.len() as u64)).collect();
        prop_assert_eq!(listed, expected);
    }
    for (key, body) in &model {
        prop_assert_eq!(&client.get(key).await.unwrap(), body);
    }
    Ok(())
}
