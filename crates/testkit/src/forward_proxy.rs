//! Forward proxies: tinyproxy (CONNECT) and microsocks (SOCKS 5), both from Debian.

use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{child, port::free_port, process::Process, wait};

/// How long a proxy may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running proxy. It ends when it is dropped, or when the test process ends.
#[derive(Debug)]
pub struct ForwardProxy {
    scheme: &'static str,
    port: u16,
    process: Process,
    // Removed with the proxy.
    _folder: TempDir,
}

/// The rules of a proxy for its clients.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules<'a> {
    /// Username and password.
    pub login: Option<(&'a str, &'a str)>,
    /// A host to which tinyproxy refuses connections.
    pub refuses: Option<&'a str>,
    /// The port of the proxy; `None` if any free port will do.
    pub port: Option<u16>,
}

impl ForwardProxy {
    /// Starts a tinyproxy.
    ///
    /// # Panics
    /// If the program is missing or does not start; the message says what to do.
    pub async fn tinyproxy(rules: Rules<'_>) -> Self {
        let (port, folder) =
            (rules.port.unwrap_or_else(free_port), tempfile::tempdir().expect("a folder for the proxy"));
        let (config, filter) = (folder.path().join("tinyproxy.conf"), folder.path().join("filter"));
        let mut text = format!("Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 200\nLogLevel Connect\n");
        if let Some((username, password)) = rules.login {
            text.push_str(&format!("BasicAuth {username} {password}\n"));
        }
        if let Some(host) = rules.refuses {
            fs::write(&filter, host.replace('.', "\\.")).expect("the filter can be written");
            text.push_str(&format!("Filter \"{}\"\n", filter.display()));
        }
        fs::write(&config, text).expect("the configuration can be written");
        let args = ["-d".into(), "-c".into(), config.into_os_string()];
        Self::start("http", port, folder, "tinyproxy", &args).await
    }

    /// Starts a microsocks.
    ///
    /// # Panics
    /// As [`ForwardProxy::tinyproxy`].
    pub async fn microsocks(rules: Rules<'_>) -> Self {
        let (port, folder) =
            (rules.port.unwrap_or_else(free_port), tempfile::tempdir().expect("a folder for the proxy"));
        let number = port.to_string();
        let mut args = vec!["-i", "127.0.0.1", "-p", &number];
        if let Some((username, password)) = rules.login {
            args.extend(["-u", username, "-P", password]);
        }
        let args: Vec<_> = args.into_iter().map(Into::into).collect();
        Self::start("socks5", port, folder, "microsocks", &args).await
    }

    async fn start(scheme: &'static str, port: u16, folder: TempDir, name: &str, args: &[std::ffi::OsString]) -> Self {
        let process = Process::start(name, program(name), args, [] as [(&str, &str); 0]);
        let takes = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        assert!(wait::attempt(START_TIMEOUT, takes).await.is_ok(), "{name} did not come up: {}", process.output());
        Self { scheme, port, process, _folder: folder }
    }

    /// Its URL, without credentials.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn log(&self) -> String {
        self.process.output()
    }

    /// The number of requests to connect to this name.
    pub fn connections_to(&self, target: &str) -> usize {
        let is_attempt =
            |line: &&str| (line.contains("CONNECT") || line.contains("connected to")) && line.contains(target);
        self.log().lines().filter(is_attempt).count()
    }

    /// Stops it for good.
    pub fn kill(&self) {
        self.process.kill();
    }
}

/// The program of this name, on `PATH` or in Debian's folder for servers.
pub(crate) fn program(name: &str) -> PathBuf {
    let program = child::find_on_path(name).or_else(|| Some(PathBuf::from("/usr/sbin").join(name)));
    program.filter(|file| file.is_file()).unwrap_or_else(|| panic!("no {name}: run tools/bring-proxies"))
}
