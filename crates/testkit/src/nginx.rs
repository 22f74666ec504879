//! nginx as a receiver that asks for a client certificate.

use std::{fs, time::Duration};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{
    forward_proxy::program,
    port::free_port,
    process::Process,
    tls::{Authority, CertificateFiles},
    wait,
};

/// How long nginx may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running nginx. It ends when it is dropped, or when the test process ends.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    process: Process,
    // Removed with the server.
    _folder: TempDir,
}

impl Nginx {
    /// Starts an nginx that speaks HTTP/2 and HTTP/1.1 over TLS as `localhost`. It answers with the subject of the
    /// client's certificate, and accepts only certificates of the authority `clients`.
    ///
    /// # Panics
    /// If nginx is missing or does not start; the message says what to do.
    pub async fn start(own: &CertificateFiles, clients: &Authority) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder for nginx"));
        let (certificate, key) = own.names();
        let (path, authority) = (folder.path().display(), clients.file());
        let text = format!(
            "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
             access_log {path}/access.log;\nclient_body_temp_path {path}/a;\nproxy_temp_path {path}/b;\n\
             fastcgi_temp_path {path}/c;\nuwsgi_temp_path {path}/d;\nscgi_temp_path {path}/e;\n\
             server {{\nlisten 127.0.0.1:{port} ssl http2;\nserver_name localhost;\nssl_certificate {certificate};\n\
             ssl_certificate_key {key};\nssl_client_certificate {};\nssl_verify_client on;\n\
             location / {{ return 200 \"$server_protocol $ssl_client_s_dn\"; }}\n}}\n}}\n",
            authority.display()
        );
        let config = folder.path().join("nginx.conf");
        fs::write(&config, text).expect("the configuration can be written");
        let args =
            ["-e".into(), "stderr".into(), "-p".into(), folder.path().into(), "-c".into(), config.into_os_string()];
        let process =
            Process::start("nginx", program("nginx"), args as [std::ffi::OsString; 6], [] as [(&str, &str); 0]);
        let takes = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        assert!(wait::attempt(START_TIMEOUT, takes).await.is_ok(), "nginx did not come up: {}", process.output());
        Self { port, process, _folder: folder }
    }

    /// The URL for requests.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.port)
    }

    /// Its error log.
    pub fn log(&self) -> String {
        self.process.output()
    }
}
