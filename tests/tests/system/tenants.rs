//! Tenants do not see each other.

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use tests::data::{self, Entry, T0};
use tests::push;
use tests::query::{PAGE, Range};
use tests::server::Server;
use tests::store::Store;

crate::on_each_store!(tenants_are_apart);

async fn tenants_are_apart(store: Store) -> Result<()> {
    let server = Server::start(&store).await?;
    // Equal labels and times, other lines; one tenant's name begins with another's.
    let tenants: [Option<&str>; 4] = [None, Some("a"), Some("ab"), Some("a-b_c.d")];
    let entry = |tenant: Option<&str>| Entry::of_app("shared", T0, format!("line of {tenant:?}"));
    let only = |tenant: Option<&str>| Entry::of_app(&format!("only-{}", tenant.unwrap_or("none")), T0, "mine");
    for tenant in tenants {
        server.push(tenant, &push::json(&[entry(tenant), only(tenant)])).await?;
    }
    for tenant in tenants {
        let rows = server.read_all(tenant, r#"{app=~".+"}"#, Range::DAY, PAGE).await?;
        data::same_rows([entry(tenant).row(), only(tenant).row()], rows)?;
        let values = server.strings(tenant, "/loki/api/v1/label/app/values", Range::DAY).await?;
        ensure!(values == [format!("only-{}", tenant.unwrap_or("none")), "shared".to_owned()], "{tenant:?} sees {values:?}");
        let count = server.number(tenant, r#"sum(count_over_time({app="shared"}[1d]))"#, Range::DAY.end - 1).await?;
        ensure!(count == 1.0, "{tenant:?} counts {count}");
    }
    // Without a header the tenant is `fake`.
    data::same_rows([entry(None).row()], server.read_all(Some("fake"), r#"{app="shared"}"#, Range::DAY, PAGE).await?)?;
    ensure!(server.read_all(Some("nobody"), r#"{app=~".+"}"#, Range::DAY, PAGE).await?.is_empty(), "a tenant without data sees some");

    // Names that could step out of the tenant's place in the store.
    let too_long = "x".repeat(151);
    for bad in ["..", ".", "a/b", "../a", "a\\b", "a b", &too_long] {
        let (status, text) = server.send(Some(bad), &push::json(&[only(None)])).await?;
        ensure!(status == StatusCode::BAD_REQUEST, "push for tenant {bad:?} was answered with {status}: {text}");
        let (status, text) = server.ask(Some(bad), "/loki/api/v1/labels", &[]).await?;
        ensure!(status == StatusCode::BAD_REQUEST, "labels for tenant {bad:?} were answered with {status}: {text}");
    }
    let (status, text) = server.send(Some("a|ab"), &push::json(&[only(None)])).await?;
    ensure!(status == StatusCode::BAD_REQUEST, "a push for two tenants was answered with {status}: {text}");
    Ok(())
}
