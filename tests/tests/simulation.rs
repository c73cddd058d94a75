//! Simulations of the whole system from many seeds (`tests::sim`). `TARN_SIM_SEEDS=2000` runs the seeds 0 to 1999, `TARN_SIM_SEEDS=70..80` those from 70 to 79.
//! A seed that fails prints what was broken and the last events, `TARN_SIM_EVENTS=5000` more of them; the same seed fails in the same way again.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failed check ends the test")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use store::testing::rules::{Rule, break_rule};
use tests::sim::{Outcome, Tally, run};

/// Seeds without `TARN_SIM_SEEDS`.
const SEEDS: u64 = 500;

fn seeds_wanted() -> Range<u64> {
    let Ok(text) = std::env::var("TARN_SIM_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("TARN_SIM_SEEDS={text:?} is neither a number nor two with '..' between them"));
    text.split_once("..").map_or_else(|| 0..number(&text), |(first, end)| number(first)..number(end))
}

/// Runs `each` for all seeds, on as many threads as there are cores; stops early when it says so.
fn for_each_seed(seeds: Range<u64>, each: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < seeds.end
                    && each(seed)
                {}
            });
        }
    });
}

#[test]
fn every_invariant_holds_in_every_seed() {
    let seeds = seeds_wanted();
    let (all, failures) = (Mutex::new((Tally::default(), 0u64)), Mutex::new(BTreeMap::new()));
    for_each_seed(seeds.clone(), |seed| {
        let Outcome { tally, events, failure, .. } = run(seed).unwrap();
        let mut all = all.lock().unwrap();
        all.0.add(&tally);
        all.1 += events;
        let mut failures = failures.lock().unwrap();
        failures.extend(failure.map(|text| (seed, text)));
        failures.len() < 20
    });
    let failures = failures.into_inner().unwrap();
    if let Some(text) = failures.values().next() {
        println!("{text}");
    }
    for text in failures.values() {
        println!("{}", text.lines().next().unwrap());
    }
    assert!(failures.is_empty(), "{} of the seeds {seeds:?} failed: {:?}", failures.len(), failures.keys());
    let (tally, events) = all.into_inner().unwrap();
    println!("{} seeds, {events} events: {tally:?}", seeds.end - seeds.start);
    assert!(seeds.end - seeds.start < 100 || tally.is_complete(), "something never happens: {tally:?}");
}

#[test]
fn a_seed_goes_the_same_way_again() {
    for seed in 0..20 {
        let (first, second) = (run(seed).unwrap(), run(seed).unwrap());
        assert_eq!((first.events, first.hash), (second.events, second.hash), "seed {seed}");
    }
}

/// Seeds that have found errors in Tarn, wherever the range of seeds lies.
const FOUND: &[(u64, &str)] = &[
    (84, "the grace of replaced chunks began with the job, not with its commit"),
    (145, "the first instant of a day was answered twice while its push was compacted day by day"),
    (1263, "a compactor that slept for hours forgot consumed chunks that were pushed after its LIST, so their rows were stored twice"),
    (1921, "the same"),
    (3129, "a merge that was planned before a delete request was due brought its rows into a day that was marked as done with it"),
    (3143, "a chunk was forgotten as soon as it was deleted, so a reader that had listed it before found its rows twice"),
    (4245, "a file that was collected as an orphan while its upload took hours was reported as a bug of Tarn"),
];

#[test]
fn what_seeds_have_found_stays_mended() {
    for (seed, what) in FOUND {
        assert_eq!(run(*seed).unwrap().failure, None, "{what}");
    }
}

/// Seeds within which a broken rule must be noticed; `TARN_SIM_SEEDS` beats it.
const SEEDS_TO_CATCH: u64 = 400;

/// `first` is a seed that notices it, as long as the scenarios stay the same: it is tried before the others.
fn caught(rule: Rule, first: u64) {
    let seeds = if std::env::var_os("TARN_SIM_SEEDS").is_some() { seeds_wanted() } else { 0..SEEDS_TO_CATCH };
    let notices = |seed: u64| {
        let _guard = break_rule(rule);
        run(seed).unwrap().failure.map(|text| text.lines().next().unwrap().to_owned())
    };
    let found = Mutex::new(notices(first).map(|text| (first, text)));
    if found.lock().unwrap().is_none() {
        for_each_seed(seeds.clone(), |seed| {
            let noticed = notices(seed);
            let mut found = found.lock().unwrap();
            if let Some(text) = noticed
                && found.as_ref().is_none_or(|(known, _)| seed < *known)
            {
                *found = Some((seed, text));
            }
            found.is_none()
        });
    }
    let (_, text) = found.into_inner().unwrap().unwrap_or_else(|| panic!("{rule:?} was not noticed by the seeds {seeds:?}"));
    println!("{rule:?}: {text}");
}

macro_rules! caught {
    ($($test:ident: $rule:ident by $seed:literal,)*) => {
        $(#[test]
        fn $test() {
            caught(Rule::$rule, $seed);
        })*
    };
}

// A chunk that is forgotten with its object was noticed by one seed of thousands: `chunks_that_are_deleted_late_stay_consumed_for_readers_that_listed_them` in the compactor
// breaks that rule.
caught! {
    notices_manifests_before_list: ManifestsBeforeList by 223,
    notices_a_vanished_chunk_skipped: VanishedChunkSkipped by 223,
    notices_copies_kept_by_a_reader: ReaderKeepsCopies by 0,
    notices_consumed_for_all_days: ConsumedForAllDays by 0,
    notices_acknowledged_when_unknown: AcknowledgedWhenUnknown by 27,
    notices_consumed_not_recorded: ConsumedNotRecorded by 0,
    notices_consumed_forgotten_at_once: ConsumedForgottenAtOnce by 0,
    notices_done_deletes_forgotten: DoneDeletesForgotten by 3129,
    notices_inputs_deleted_before_commit: DeleteInputsBeforeCommit by 0,
    notices_a_commit_without_condition: CommitWithoutCondition by 30,
    notices_outputs_reused_after_conflict: OutputsReusedAfterConflict by 11,
    notices_replaced_stay_live: ReplacedStayLive by 0,
    notices_collect_after_one_day: CollectAfterOneDay by 0,
    notices_collect_without_grace: CollectWithoutGrace by 0,
    notices_grace_from_the_start: GraceFromTheStart by 30,
    notices_deletes_marked_done_without_rewrite: DeletesMarkedDoneWithoutRewrite by 1,
}
