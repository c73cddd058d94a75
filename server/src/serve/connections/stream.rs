//! The socket of a client: reports what is read, and closes so that a client that is still sending can read its answer.
//! Must not know: HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::progress::Progress;
use super::registry::Registered;

/// How long, and for how many bytes, a client may go on sending what nobody reads once it is answered. If the socket were closed under what is still to come, the
/// client would see a reset in place of its answer.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 256 << 20;

/// One connection. It counts as open until it is dropped, also when it speaks another protocol meanwhile.
#[derive(Debug)]
pub(super) struct ClientStream<S> {
    stream: S,
    progress: Arc<Progress>,
    lingering: Option<Lingering>,
    registered: Registered,
}

#[derive(Debug)]
struct Lingering {
    end: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S> ClientStream<S> {
    pub(super) fn new(stream: S, registered: Registered) -> Self {
        Self { stream, progress: Arc::clone(registered.progress()), lingering: None, registered }
    }

    pub(super) fn registered(&self) -> &Registered {
        &self.registered
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Err(ended) = self.progress.read(buffer.filled().len() - before) {
            self.registered.ended(ended);
            return Poll::Ready(Err(io::Error::other(ended.as_str())));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.progress.has_unread_body() {
                return Poll::Ready(Ok(()));
            }
            this.progress.lingers();
        }
        let lingering = this.lingering.get_or_insert_with(|| Lingering { end: Box::pin(tokio::time::sleep(LINGER)), bytes_left: LINGER_BYTES });
        let mut scratch = [0; 16 << 10];
        while lingering.bytes_left > 0 && lingering.end.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => lingering.bytes_left = lingering.bytes_left.saturating_sub(buffer.filled().len()),
                // The client is done, or gone.
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
