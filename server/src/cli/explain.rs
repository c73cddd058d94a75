//! `tarn explain`.

use std::io::Write as _;

use serde::Deserialize;
use store::env::Env;

use crate::args::ExplainArgs;
use crate::cli::client::Client;
use crate::cli::{query, time};
use crate::error::TarnError;

/// An answer of the explain route.
#[derive(Debug, Deserialize)]
struct Explained {
    data: Plans,
}

#[derive(Debug, Deserialize)]
struct Plans {
    query: String,
    logical: String,
    optimized: String,
    physical: String,
    pruned: String,
    /// Older servers make none.
    #[serde(default)]
    estimate: String,
}

/// Prints the plans.
pub(crate) async fn run(args: ExplainArgs) -> Result<(), TarnError> {
    let env = Env::system();
    let client = Client::open(&args.target, &env).await?;
    let range = time::range(&args.time, env.now())?;
    let mut parameters = vec![("query", args.query.clone()), ("start", range.start.to_string()), ("end", range.end.to_string())];
    if let Some(step) = &args.step {
        parameters.push(("step", step.clone()));
    }
    let body = client.read("/tarn/api/v1/explain", &parameters).await.map_err(|e| query::with_caret(e, &args.query))?;
    let Plans { query, logical, optimized, physical, pruned, estimate } = query::decode::<Explained>(&client, &body)?.data;
    let mut out = std::io::stdout().lock();
    [("query", query), ("logical plan", logical), ("optimized plan", optimized), ("physical plan", physical), ("pruned", pruned), ("estimate", estimate)]
        .iter()
        .try_for_each(|(title, text)| {
            writeln!(out, "{title}:")?;
            text.trim_end().lines().try_for_each(|line| writeln!(out, "  {line}"))
        })
        .and_then(|()| out.flush())
        .map_err(TarnError::io("write to standard output"))
}
