//! A stream that a thread of its own writes: a reader that is slow, or a terminal that is stopped by Ctrl-S, holds up
//! nothing of the run.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::{oneshot, watch};

/// The near end of a stream. Writing to it takes no time, and fails once the reader is gone.
#[derive(Clone, Debug)]
pub struct Stream {
    queue: Sender<Vec<u8>>,
    pending: Arc<watch::Sender<Pending>>,
}

/// How far the reader is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// The bytes that it has not taken yet.
    pub bytes: usize,
    /// It is gone: what it has not taken is lost, and nothing more is written.
    gone: bool,
}

impl Stream {
    /// Starts to write to `far`, in order.
    pub fn new(mut far: impl Write + Send + 'static) -> Self {
        let (queue, written) = channel::<Vec<u8>>();
        let pending = Arc::new(watch::Sender::new(Pending::default()));
        let told = Arc::clone(&pending);
        std::thread::spawn(move || {
            for bytes in written {
                let gone = told.borrow().gone || far.write_all(&bytes).and_then(|()| far.flush()).is_err();
                told.send_modify(|pending| *pending = Pending { bytes: pending.bytes - bytes.len(), gone });
            }
        });
        Self { queue, pending }
    }

    /// Watches how far the reader is behind.
    pub fn pending(&self) -> watch::Receiver<Pending> {
        self.pending.subscribe()
    }

    /// Waits until the reader has taken everything, or is gone.
    pub async fn drained(&self) {
        // The sender is held here, so waiting ends with what is waited for.
        let _ = self.pending().wait_for(|pending| pending.bytes == 0).await;
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.borrow().gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.pending.send_modify(|pending| pending.bytes += bytes.len());
        self.queue.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a line of stdin. Nobody waits for the thread: a read has no end of its own, and a signal must not wait for it.
pub fn line_of_stdin() -> oneshot::Receiver<String> {
    let (send, line) = oneshot::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        if std::io::stdin().read_line(&mut text).is_ok() {
            let _ = send.send(text);
        }
    });
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::Receiver;

    use super::*;

    /// A terminal that takes nothing until it is let go on.
    struct Stopped(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_terminal_that_is_stopped_holds_up_nothing_and_gets_everything_in_order() {
        let (go_on, stopped) = channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut stream = Stream::new(Stopped(stopped, Arc::clone(&taken)));
        stream.write_all(b"one\n").unwrap();
        stream.write_all(b"two\n").unwrap();
        assert_eq!(stream.pending().borrow().bytes, 8);
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        stream.drained().await;
        assert_eq!(*taken.lock().unwrap(), b"one\ntwo\n");
    }

    #[tokio::test]
    async fn a_reader_that_went_away_is_an_error_and_keeps_nobody_waiting() {
        let (go_on, stopped) = channel();
        let mut stream = Stream::new(Stopped(stopped, Arc::default()));
        drop(go_on);
        stream.write_all(b"one\n").unwrap();
        stream.write_all(b"two\n").unwrap_or_default();
        stream.drained().await;
        assert_eq!(stream.write_all(b"three\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
