//! Receivers in other processes: common servers with their usual settings.

use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{child, port::free_port, process::Process, tls::Authority, wait};

const START_DEADLINE: Duration = Duration::from_secs(20);
const NO_ENV: [(&str, &str); 0] = [];
/// Node's HTTP server. It keeps connections for five seconds.
const NODE: &str = "require('http').createServer((request, response) => { request.resume(); \
    request.on('end', () => response.end('ok')); }).listen(Number(process.argv[1]), '127.0.0.1')";
/// The server of Python's own library, with a thread for each connection.
const PYTHON: &str = r"
import http.server, sys
class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        self.rfile.read(int(self.headers['content-length']))
        self.send_response(200)
        self.send_header('content-length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Hook).serve_forever()
";

/// A running server. It is killed on drop.
#[derive(Debug)]
pub struct Program {
    url: String,
    process: Process,
    _folder: Option<TempDir>,
}

impl Program {
    /// Node's `http` server.
    pub async fn node() -> Self {
        let port = free_port();
        let process = Process::start("node", program("node"), ["-e", NODE, &port.to_string()], NO_ENV);
        Self::up(process, port, format!("http://127.0.0.1:{port}/hook"), None).await
    }

    /// Python's `http.server`.
    pub async fn python() -> Self {
        let port = free_port();
        let process = Process::start("python3", "python3", ["-c", PYTHON, &port.to_string()], NO_ENV);
        Self::up(process, port, format!("http://127.0.0.1:{port}/hook"), None).await
    }

    /// nginx that speaks HTTP/2 over TLS as `localhost`, and ends a connection after 20 requests.
    pub async fn nginx(authority: &Authority) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder for nginx"));
        let files = authority.files_for(&["localhost"]);
        let (certificate, key) = files.names();
        let of = |name: &str| folder.path().join(name);
        let configuration = format!(
            "daemon off; master_process off; pid {:?}; error_log stderr warn; events {{}}\n\
             http {{ access_log off; client_body_temp_path {:?};\n\
             proxy_temp_path {t:?}; fastcgi_temp_path {t:?}; uwsgi_temp_path {t:?}; scgi_temp_path {t:?};\n\
             server {{ listen 127.0.0.1:{port} ssl http2; keepalive_requests 20;\n\
             ssl_certificate {certificate:?}; ssl_certificate_key {key:?};\n\
             location / {{ return 200 ok; }} }} }}\n",
            of("pid"),
            of("bodies"),
            t = of("other"),
        );
        let file = of("nginx.conf");
        fs::write(&file, configuration).expect("the configuration of nginx is written");
        let args = ["-c", file.to_str().unwrap_or_default(), "-e", "stderr"];
        let process = Process::start("nginx", program("nginx"), args, NO_ENV);
        Self::up(process, port, format!("https://localhost:{port}/hook"), Some(folder)).await
    }

    /// HAProxy in front of another receiver. It ends connections that were silent for a second.
    pub async fn haproxy(before: &Self) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder for HAProxy"));
        let target = before.url.trim_start_matches("http://").trim_end_matches("/hook");
        let configuration = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 1s\n  timeout server 5s\n\
             frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\nbackend b\n  server s {target}\n"
        );
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, configuration).expect("the configuration of HAProxy is written");
        let args = ["-db", "-f", file.to_str().unwrap_or_default()];
        let process = Process::start("haproxy", program("haproxy"), args, NO_ENV);
        Self::up(process, port, format!("http://127.0.0.1:{port}/hook"), Some(folder)).await
    }

    /// The URL for requests.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    async fn up(process: Process, port: u16, url: String, folder: Option<TempDir>) -> Self {
        let answers = async || TcpStream::connect(("127.0.0.1", port)).await.map(drop);
        if let Err(seen) = wait::attempt(START_DEADLINE, answers).await {
            panic!("{url} does not answer: {seen}; its output:\n{}", process.output());
        }
        Self { url, process, _folder: folder }
    }

    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }
}

/// The path of a program that `tools/bring-receivers` downloads.
///
/// # Panics
/// If the program is missing.
pub fn program(name: &str) -> PathBuf {
    let installed = PathBuf::from("/usr/sbin").join(name);
    child::find_on_path(name)
        .or_else(|| installed.is_file().then_some(installed))
        .unwrap_or_else(|| panic!("no {name}: run tools/bring-receivers"))
}
