//! Exports in LibreOffice, with each separator.

use std::{fs, path::Path};

use api::DeliveryStatus;
use serde_json::json;
use testkit::{Answer, Receiver, wait};
use tokio::{process::Command, time::timeout};

use crate::{
    leads::exported,
    world::{ACCOUNT, SOON, World},
};

/// Separators as character codes, like in LibreOffice's import filter: `,`, `;`, tab, `|`.
const SEPARATORS: [u32; 4] = [44, 59, 9, 124];
/// Answers of receivers that would be formulas.
const ANSWERS: [&str; 6] = ["=2+2", "x;=1+1", "x\t@SUM(A1)", "x,\"y\"\n-1+2", "x;\"=1+1\"", "x|+1"];

/// Opens a CSV file in LibreOffice, and returns the converted sheet.
async fn opened(csv: &Path, separator: u32) -> String {
    let folder = csv.parent().unwrap();
    let profile = format!("-env:UserInstallation=file://{}", folder.join("profile").display());
    // Separator, quote, UTF-8, from the first line; the detection of cell types is the default.
    let filter = format!("--infilter=CSV:{separator},34,76,1,,0,false,true,false");
    let mut soffice = Command::new("soffice");
    soffice.args(["--headless", &profile, "--convert-to", "fods", &filter, "--outdir"]).arg(folder).arg(csv);
    let converting = soffice.kill_on_drop(true).output();
    let output = timeout(SOON, converting).await.expect("LibreOffice ends soon");
    let output = output.expect("no LibreOffice: run tools/bring-libreoffice");
    let sheet = csv.with_extension("fods");
    fs::read_to_string(&sheet).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test]
async fn export_has_no_formulas_and_keeps_ids_in_libreoffice() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    for (n, answer) in ANSWERS.iter().enumerate() {
        receiver.answer(Answer::With(200, vec![], (*answer).into()));
        let (event, lead) = (format!("e{n}"), format!("001234567890123{n}"));
        world.publish_with(&event, json!({"lead_id": lead})).await;
        world.delivery_is(&event, DeliveryStatus::Succeeded).await;
    }
    let request = api::ExportLeadsRequest {
        account_id: ACCOUNT.into(),
        byte_order_mark: true,
        ids_as_text: true,
        ..api::ExportLeadsRequest::default()
    };
    let csv = wait::until("every lead", SOON, async || {
        let csv = exported(&world, request.clone()).await;
        (csv.matches("acme,").count() == ANSWERS.len()).then_some(csv)
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leads.csv");
    for separator in SEPARATORS {
        fs::write(&file, &csv).unwrap();
        let sheet = opened(&file, separator).await;
        assert!(sheet.contains("account_id"), "{sheet}");
        assert!(!sheet.contains("table:formula"), "a formula at separator {separator}: {csv}");
        if separator == 44 {
            assert!(sheet.contains("<text:p>&apos;0012345678901230</text:p>"), "{sheet}");
        }
    }
    // The check detects formulas, and shows that unmarked ids lose their zeros.
    fs::write(&file, "0012345678901230,=2+2\r\n").unwrap();
    let sheet = opened(&file, 44).await;
    assert!(sheet.contains("table:formula") && sheet.contains("office:value=\"12345678901230\""), "{sheet}");
}
