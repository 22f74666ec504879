//! The byte stream under an HTTP/1.1 connection. It records whether any byte of an answer has arrived. It reads the
//! answer of a receiver that stopped reading the request, and accepts a status line in lower case.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The beginning of a status line. Some servers send it in lower case, which browsers and curl accept.
const STATUS_LINE: usize = "HTTP".len();

/// The number of bytes received since the latest request.
#[derive(Debug, Clone, Default)]
pub(super) struct ReceivedBytes(Arc<AtomicU64>);

impl ReceivedBytes {
    /// Counts again from zero, for a new request.
    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether no byte of an answer has arrived.
    pub(super) fn is_zero(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    received: ReceivedBytes,
    /// Whether the receiver reads no more data. Its answer can still be read.
    stopped_reading: bool,
}

impl<S> Socket<S> {
    pub(super) const fn new(stream: S, received: ReceivedBytes) -> Self {
        Self { stream, received, stopped_reading: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = &mut buf.filled_mut()[before..];
        let received = self.received.0.fetch_add(new.len() as u64, Ordering::Relaxed);
        let missing = STATUS_LINE.saturating_sub(usize::try_from(received).unwrap_or(usize::MAX));
        let beginning = missing.min(new.len());
        new[..beginning].make_ascii_uppercase();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Socket<S> {
    /// Ignores write errors. A receiver may answer and close before it has read the whole request, and its answer can
    /// still be read. Without an answer, reading fails.
    fn ignore_write_error<T>(&mut self, written: Poll<io::Result<T>>, all: T) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error)) if has_stopped_reading(&error) => {
                self.stopped_reading = true;
                Poll::Ready(Ok(all))
            }
            written => written,
        }
    }
}

fn has_stopped_reading(error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    matches!(error.kind(), Io::BrokenPipe | Io::ConnectionReset | Io::ConnectionAborted)
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.stopped_reading {
            return Poll::Ready(Ok(data.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.ignore_write_error(written, data.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stopped_reading {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.ignore_write_error(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_status_line_in_lower_case_is_accepted() {
        let received = ReceivedBytes::default();
        let said = tokio_test_stream(&[b"ht", b"tp/1.1 200 ok\r\n"]);
        let mut socket = Socket::new(said, received.clone());
        assert!(received.is_zero());
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "HTTP/1.1 200 ok\r\n");
        assert!(!received.is_zero());
        received.reset();
        assert!(received.is_zero());
    }

    fn tokio_test_stream(parts: &'static [&'static [u8]]) -> impl AsyncRead + Unpin {
        let parts = parts.iter().map(|part| Ok::<_, io::Error>(*part));
        tokio_util::io::StreamReader::new(futures::stream::iter(parts))
    }

    #[tokio::test]
    async fn an_answer_is_read_after_the_receiver_stopped_reading() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut receiver, _) = listener.accept().await.unwrap();
        receiver.write_all(b"HTTP/1.1 413 Content Too Large\r\n\r\n").await.unwrap();
        receiver.set_zero_linger().unwrap();
        drop(receiver);
        let mut socket = Socket::new(stream, ReceivedBytes::default());
        // The reset arrives with the first write at the latest; later writes would fail.
        for _ in 0..3 {
            socket.write_all(&[b'x'; 100_000]).await.unwrap();
            socket.flush().await.unwrap();
        }
        let mut text = [0; 12];
        let read = socket.read(&mut text).await;
        assert!(matches!(read, Ok(12)), "{read:?}");
        assert_eq!(&text, b"HTTP/1.1 413");
    }
}
