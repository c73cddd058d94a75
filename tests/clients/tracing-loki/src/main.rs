//! Logs every line of a file through tracing-loki (protobuf with `Content-Encoding: snappy`). Usage: client-of-tracing-loki URL LINES [retries]
//!
//! A request that failed is repeated until the layer is told to shut down: with `retries` that is when standard input ends.

use std::error::Error;

use tracing_subscriber::layer::SubscriberExt;

/// The layer's channel holds 512 events and drops what does not fit, so the sender gives way to it now and then.
const BURST: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: client-of-tracing-loki URL LINES [retries]".into());
    };
    let retries = arguments.next().as_deref() == Some("retries");
    let text = std::fs::read_to_string(path)?;

    let (layer, controller, task) = tracing_loki::builder()
        .label("client", "tracing-loki")?
        .label("env", "test")?
        .extra_field("pid", std::process::id().to_string())?
        .build_controller_url(url::Url::parse(&url)?)?;
    let sender = tokio::spawn(task);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    let mut pushed = 0;
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        match pushed % 3 {
            0 => tracing::info!(sequence = pushed, "{line}"),
            1 => tracing::warn!(sequence = pushed, "{line}"),
            _ => tracing::error!(sequence = pushed, "{line}"),
        }
        pushed += 1;
        // In small portions, so that there are some requests to be repeated.
        if pushed % if retries { BURST / 5 } else { BURST } == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    if retries {
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    }
    controller.shutdown().await;
    sender.await?;
    println!("{pushed}");
    Ok(())
}
