//! A private Prometheus server that scrapes every second.

use std::{fs, path::Path, process::Command, time::Duration};

use tempfile::TempDir;

use crate::{child, port::free_port, process::Process};

/// How long Prometheus may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const NO_ENV: [(&str, &str); 0] = [];

/// A running server. It ends when it is dropped, or when the test process ends.
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    _process: Process,
    // Removed with the server.
    _folder: TempDir,
}

impl Prometheus {
    /// Starts a server that scrapes `targets` (host and port) as the job `leadline`, and evaluates these rules each
    /// second.
    ///
    /// # Panics
    /// If the program is missing or does not start; the message says what to do.
    pub async fn start(targets: &[String], rules: &str) -> Self {
        Self::start_labelled(targets, rules, "").await
    }

    /// Like [`Prometheus::start`], with the external label `leadline_runbook`.
    ///
    /// # Panics
    /// As [`Prometheus::start`].
    pub async fn start_labelled(targets: &[String], rules: &str, runbook: &str) -> Self {
        let program = child::find_on_path("prometheus").expect("no prometheus: run tools/bring-prometheus");
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder for Prometheus"));
        let file = |name: &str| folder.path().join(name);
        let targets: Vec<_> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  evaluation_interval: 1s\n  external_labels:\n    \
             leadline_runbook: {runbook:?}\nrule_files: [rules.yml]\n\
             scrape_configs:\n- job_name: leadline\n  static_configs: [{{targets: [{}]}}]\n",
            targets.join(", ")
        );
        fs::write(file("prometheus.yml"), config).expect("the configuration can be written");
        fs::write(file("rules.yml"), rules).expect("the rules can be written");
        let args = [
            format!("--config.file={}", file("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", file("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--enable-feature=exemplar-storage".to_owned(),
        ];
        let process = Process::start("prometheus", program, args, NO_ENV);
        process.wait_line("Server is ready to receive web requests", START_TIMEOUT).await;
        Self { port, _process: process, _folder: folder }
    }

    /// Its API, such as `http://127.0.0.1:1234/api/v1`.
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1", self.port)
    }
}

/// Runs promtool, and returns its output if it succeeds.
///
/// # Errors
/// With its output if it fails.
///
/// # Panics
/// If the program is missing; the message says what to do.
pub fn promtool(args: &[&str], input: &Path) -> Result<String, String> {
    let program = child::find_on_path("promtool").expect("no promtool: run tools/bring-prometheus");
    let input = fs::File::open(input).expect("the input of promtool");
    let output = Command::new(program).args(args).stdin(input).output().expect("promtool can be started");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(text) }
}
