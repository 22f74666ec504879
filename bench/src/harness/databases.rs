//! Both databases of the read model.

use serde_json::{Map, Value};
use testkit::postgres;

/// Measures with each database. `run` gets its name, and the arguments with which the program uses it.
pub(crate) async fn on_both(run: impl AsyncFn(&str, &[&str]) -> anyhow::Result<Value>) -> anyhow::Result<Value> {
    let mut results = Map::new();
    for database in ["sqlite", "postgres"] {
        let url = if database == "postgres" { Some(postgres::database().await) } else { None };
        let args: Vec<_> = url.iter().flat_map(|url| ["--database-url", url.as_str()]).collect();
        results.insert(database.into(), Box::pin(run(database, &args)).await?);
    }
    Ok(results.into())
}
