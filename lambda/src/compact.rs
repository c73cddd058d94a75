//! The compactor function: any event starts one run, which begins no job that might not end in time.
//! Owns: how the time is shared out, what is answered. Must not know: what a job is.

use std::process::ExitCode;
use std::time::Duration;

use compactor::RunReport;
use schema::TenantId;
use serde_json::{Value, json};
use server::{Compaction, Role, TarnError, TenantRun, add};

use crate::deadline::working_time;
use crate::runtime::{self, Function, FunctionError, Invocation, Reply, Start, buffered};

/// Runs the function.
pub fn run() -> ExitCode {
    runtime::run::<Compact>()
}

struct Compact {
    compaction: Compaction,
}

/// What the tenants' runs came to.
#[derive(Default)]
struct Outcome {
    total: RunReport,
    failures: Vec<String>,
}

impl Function for Compact {
    const ROLE: Role = Role::Compactor;
    const THREADS: usize = 4;

    async fn start(Start { config, env, .. }: Start) -> Result<Self, TarnError> {
        Ok(Self { compaction: Compaction::open(&config, &env)? })
    }

    async fn call(&self, Invocation { event, time_left }: Invocation) -> Result<Reply, FunctionError> {
        let tenant = tenant(&event)?;
        let mut outcome = Outcome::default();
        let run = self.run(tenant.as_ref(), time_left, &mut outcome);
        let cut_off = match time_left {
            None => run.await.map(|()| false)?,
            // A job that was begun and cannot be ended is given up; nothing is lost by that, and the next run does it again.
            Some(left) => match tokio::time::timeout(working_time(left), run).await {
                Ok(ended) => ended.map(|()| false)?,
                Err(_) => true,
            },
        };
        let answer = answer(&outcome.total, cut_off);
        tracing::info!(answer = %answer, failed = outcome.failures.len(), "compaction ran");
        if outcome.failures.is_empty() {
            return Ok(buffered(answer));
        }
        Err(FunctionError { kind: "Compaction", message: format!("{}; what was done: {answer}", outcome.failures.join("; ")) })
    }
}

impl Compact {
    async fn run(&self, tenant: Option<&TenantId>, time_left: Option<Duration>, outcome: &mut Outcome) -> Result<(), FunctionError> {
        let failed = |error: &dyn std::error::Error| FunctionError { kind: "Store", message: error.to_string() };
        self.compaction.ensure_format().await.map_err(|error| failed(&error))?;
        // A job takes a few seconds per hundred megabytes: what begins in the first two thirds of the time ends in the last.
        let within = time_left.map(|left| left.saturating_mul(2) / 3);
        let mut done = |run: TenantRun| match run.result {
            Ok(report) => add(&mut outcome.total, &report),
            Err(error) => outcome.failures.push(format!("tenant {}: {error}", run.tenant)),
        };
        self.compaction.run(tenant, within, &mut done).await.map_err(|error| failed(&error))
    }
}

/// `{"tenant": "a"}` asks for one tenant; every other event for all.
fn tenant(event: &Value) -> Result<Option<TenantId>, FunctionError> {
    let Some(name) = event.get("tenant") else { return Ok(None) };
    let parsed = name.as_str().and_then(|name| TenantId::parse(name).ok());
    parsed.map(Some).ok_or_else(|| FunctionError { kind: "Event", message: format!("'tenant' in the event is {name}, which is not a tenant id") })
}

/// The numbers of the run, and whether there is nothing left to do.
fn answer(total: &RunReport, cut_off: bool) -> Value {
    let mut answer = serde_json::to_value(total).unwrap_or_default();
    if let Value::Object(fields) = &mut answer {
        fields.insert("complete".to_owned(), json!(!total.out_of_time && !cut_off));
        fields.insert("cut_off".to_owned(), json!(cut_off));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_may_name_a_tenant() {
        assert_eq!(tenant(&json!({"source": "aws.events"})).unwrap(), None);
        assert_eq!(tenant(&json!({"tenant": "team-a"})).unwrap(), Some(TenantId::parse("team-a").unwrap()));
        assert!(tenant(&json!({"tenant": ".."})).unwrap_err().message.contains("\"..\""));
        assert!(tenant(&json!({"tenant": 7})).is_err());
    }

    #[test]
    fn a_run_is_complete_when_neither_it_nor_a_tenant_ran_out_of_time() {
        let done = RunReport { jobs: 2, ..RunReport::default() };
        assert_eq!((answer(&done, false)["complete"].clone(), answer(&done, false)["jobs"].clone()), (json!(true), json!(2)));
        assert_eq!(answer(&done, true)["complete"], json!(false));
        assert_eq!(answer(&RunReport { out_of_time: true, ..done }, false)["complete"], json!(false));
    }
}
