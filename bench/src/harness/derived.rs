//! What the projector derives from the rows of [`super::filled`]: problems, health, counts, and the hashes by which
//! leads are found. SQL of a migration makes most of it; only the few hashes that are searched for are computed here.

use anyhow::Context as _;
use crypto::{MasterKey, SearchKey};

use crate::harness::{
    api::ACCOUNT,
    filled::{Rows, connected, run},
};

/// The migration that makes the tables of problems, health and counts, and fills them.
const PROBLEMS: &str = include_str!("../../../crates/read_model/migrations/0016_problems.sql");
/// The first statement of the migration that fills the tables.
const FILLING: &str = "INSERT INTO problem_leads";
/// The paths of the searchable values in payloads; the values of these fields are filled in.
pub(crate) const FIELDS: [(&str, &str); 2] = [("email", "payload.email"), ("city", "payload.city")];
/// A value of the field `city` that one lead in a hundred has.
pub(crate) const CITY: &str = "berlin";

/// The mail address of a lead whose hash is computed.
pub(crate) fn email(number: u32) -> String {
    format!("lead{number}@example.com")
}

/// Fills the tables; `searched` are the numbers of the leads that are searched for.
pub(crate) async fn fill(url: &str, rows: Rows, key: &MasterKey, searched: &[u32]) -> anyhow::Result<()> {
    let (mut connection, key) = (connected(url).await?, SearchKey::new(key, ACCOUNT));
    let begin = PROBLEMS.find(FILLING).context("the migration fills nothing")?;
    run(&mut connection, &PROBLEMS[begin..]).await?;
    // These values are as long as hashes, and scattered like them.
    let scattered = match url.starts_with("sqlite") {
        true => "printf('%08x%014x', (i * 2654435761) % 4294967296, i)",
        false => "lpad(to_hex((i * 2654435761) % 4294967296), 8, '0') || lpad(to_hex(i), 14, '0')",
    };
    let city = key.hash("city", CITY);
    for (field, hash) in [
        ("email", scattered.to_owned()),
        ("city", format!("CASE WHEN i % 100 = 50 THEN '{city}' ELSE {scattered} END")),
    ] {
        let insert = format!(
            "INSERT INTO lead_values (account, field, hash, lead, client, sequence) \
             SELECT '{ACCOUNT}', '{field}', {hash}, 'lead-' || i, '', i FROM numbers"
        );
        run(&mut connection, &format!("{} {insert}", rows.numbers())).await?;
    }
    for number in searched {
        let hash = key.hash("email", &email(*number));
        let update = format!(
            "UPDATE lead_values SET hash = '{hash}' WHERE lead = 'lead-{number}' AND account = '{ACCOUNT}' AND field = 'email'"
        );
        run(&mut connection, &update).await?;
    }
    if !url.starts_with("sqlite") {
        run(&mut connection, "VACUUM ANALYZE").await?;
    }
    sqlx::Connection::close(connection).await?;
    Ok(())
}
