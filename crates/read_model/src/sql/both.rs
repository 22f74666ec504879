//! Both databases, for tests.

use crate::store::Store;

pub(crate) async fn stores() -> (Store, Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}?mode=rwc", folder.path().join("plans.db").display());
    let postgres = Store::connect(&testkit::postgres::database().await).await.unwrap();
    (Store::connect(&file).await.unwrap(), postgres, folder)
}
