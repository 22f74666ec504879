//! Refuses connections, and sends the reason as text.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::serving::{
    connections::{limit_of, socket::Protocol},
    shares::Exceeded,
};

/// The first bytes of an HTTP/2 connection (RFC 9113, 3.4).
const PREFACE_BEGINS: &[u8; 3] = b"PRI";
/// How many bytes of a refused connection are read and discarded.
const MAX_DISCARDED: u64 = 64 * 1024;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    /// The client does not speak TLS, but this port does.
    SpeaksTls,
    /// A limit is reached.
    TooMany(Exceeded),
}

impl Reason {
    fn text(self) -> String {
        match self {
            Self::SpeaksTls => "this port speaks TLS; use https://".into(),
            Self::TooMany(exceeded) => format!("{} reached; use fewer, or connect again later", limit_of(exceeded)),
        }
    }

    const fn status(self) -> &'static str {
        match self {
            Self::SpeaksTls => "400 Bad Request",
            Self::TooMany(_) => "503 Service Unavailable\r\nretry-after: 1",
        }
    }

    /// The error code of HTTP/2: `INADEQUATE_SECURITY` or `ENHANCE_YOUR_CALM` (RFC 9113, 7).
    const fn code(self) -> u8 {
        match self {
            Self::SpeaksTls => 0x0c,
            Self::TooMany(_) => 0x0b,
        }
    }
}

/// Sends the reason to the client, in the protocol that it seems to speak.
pub(super) async fn refuse(mut stream: TcpStream, protocol: Protocol, reason: Reason) -> io::Result<()> {
    let text = reason.text();
    let mut first = [0; 3];
    let length = if protocol == Protocol::Http2 { 0 } else { stream.peek(&mut first).await? };
    if protocol == Protocol::Http2 || &first[..length] == PREFACE_BEGINS {
        go_away(&mut stream, reason.code(), &text).await?;
    } else {
        let (status, length) = (reason.status(), text.len() + 1);
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}\n"
        );
        stream.write_all(answer.as_bytes()).await?;
    }
    stream.shutdown().await?;
    // Unread bytes would reset the connection, and the client would lose the answer.
    tokio::io::copy(&mut stream.take(MAX_DISCARDED), &mut tokio::io::sink()).await.map(drop)
}

/// Sends GOAWAY with an error code and a text for people (RFC 9113, 6.8), after the first request has arrived. A client
/// does not report a GOAWAY that arrives earlier.
async fn go_away(stream: &mut TcpStream, code: u8, text: &str) -> io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&SETTINGS).await?;
    stream.read_exact(&mut [0; PREFACE]).await?;
    let mut read = 0;
    while read < MAX_DISCARDED {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u64::from(u32::from_be_bytes([0, head[0], head[1], head[2]]));
        read += length;
        tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await?;
        if head[3] == HEADERS {
            break;
        }
    }
    let length = 8 + u8::try_from(text.len()).unwrap_or(0);
    let head = [[0, 0, length, 7, 0, 0, 0, 0, 0].as_slice(), &[0, 0, 0, 0, 0, 0, 0, code]].concat();
    stream.write_all(&[&head, text.as_bytes()].concat()).await
}
