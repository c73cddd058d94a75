//! Simulations of the whole system from many seeds (`tests::sim`). `TARN_SIM_SEEDS=2000` runs the seeds 0 to 1999, `TARN_SIM_SEEDS=70..80` those from 70 to 79.
//! A seed that fails prints what was broken and the last events; the same seed fails in the same way again.
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

/// Seeds within which a broken rule must be noticed.
const SEEDS_TO_CATCH: u64 = 300;

fn caught(rule: Rule) {
    let found = Mutex::new(None::<(u64, String)>);
    for_each_seed(0..SEEDS_TO_CATCH, |seed| {
        let outcome = {
            let _guard = break_rule(rule);
            run(seed).unwrap()
        };
        let mut found = found.lock().unwrap();
        if let Some(text) = outcome.failure
            && found.as_ref().is_none_or(|(known, _)| seed < *known)
        {
            *found = Some((seed, text.lines().next().unwrap().to_owned()));
        }
        found.is_none()
    });
    let (_, text) = found.into_inner().unwrap().unwrap_or_else(|| panic!("{rule:?} was not noticed within {SEEDS_TO_CATCH} seeds"));
    println!("{rule:?}: {text}");
}

macro_rules! caught {
    ($($(#[$attribute:meta])* $test:ident: $rule:ident,)*) => {
        $($(#[$attribute])*
        #[test]
        fn $test() {
            caught(Rule::$rule);
        })*
    };
}

caught! {
    #[ignore = "takes minutes"]
    notices_manifests_before_list: ManifestsBeforeList,
    notices_consumed_for_all_days: ConsumedForAllDays,
    notices_acknowledged_when_unknown: AcknowledgedWhenUnknown,
    #[ignore = "takes minutes"]
    notices_consumed_not_recorded: ConsumedNotRecorded,
    #[ignore = "takes minutes"]
    notices_consumed_forgotten_at_once: ConsumedForgottenAtOnce,
    notices_inputs_deleted_before_commit: DeleteInputsBeforeCommit,
    notices_a_commit_without_condition: CommitWithoutCondition,
    notices_outputs_reused_after_conflict: OutputsReusedAfterConflict,
    #[ignore = "takes minutes"]
    notices_replaced_stay_live: ReplacedStayLive,
    notices_collect_after_one_day: CollectAfterOneDay,
    notices_collect_without_grace: CollectWithoutGrace,
    notices_grace_from_the_start: GraceFromTheStart,
    #[ignore = "takes minutes"]
    notices_orphans_deleted_without_commit: OrphansDeletedWithoutCommit,
    notices_deletes_marked_done_without_rewrite: DeletesMarkedDoneWithoutRewrite,
}
