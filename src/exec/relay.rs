//! What a child says, line by line.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc::Sender;

/// A line that is longer than this is told in pieces: a child that never ends its line must not fill the memory.
const LONGEST: usize = 64 * 1024;

/// Which of a child's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A line that a child said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of the child's account.
    pub account: usize,
    /// Where it said so.
    pub stream: Stream,
    /// The line, without its end; any bytes.
    pub bytes: Vec<u8>,
}

/// Reads a stream to its end, and sends each line. A last line without an end is one, too.
pub async fn relay(reader: impl AsyncRead + Unpin, account: usize, stream: Stream, lines: Sender<Line>) {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while let Ok(read) = reader.fill_buf().await {
        if read.is_empty() {
            break;
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        if bytes.len() == LONGEST && end != Some(0) {
            let bytes = std::mem::take(&mut bytes);
            if lines.send(Line { account, stream, bytes }).await.is_err() {
                return;
            }
            continue;
        }
        let room = LONGEST - bytes.len();
        let taken = end.unwrap_or(read.len()).min(room);
        bytes.extend_from_slice(&read[..taken]);
        let whole = end == Some(taken);
        reader.consume(taken + usize::from(whole));
        if whole {
            let bytes = std::mem::take(&mut bytes);
            if lines.send(Line { account, stream, bytes }).await.is_err() {
                return;
            }
        }
    }
    if !bytes.is_empty() {
        // Nobody listens any more: nothing to do about it.
        let _ = lines.send(Line { account, stream, bytes }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &[u8]) -> Vec<Vec<u8>> {
        let (sender, mut lines) = tokio::sync::mpsc::channel(1000);
        relay(text, 0, Stream::Out, sender).await;
        let mut read = Vec::new();
        while let Some(line) = lines.recv().await {
            read.push(line.bytes);
        }
        read
    }

    #[tokio::test]
    async fn lines_are_whole_and_none_is_lost() {
        assert_eq!(read(b"a\n\nb").await, [b"a".to_vec(), Vec::new(), b"b".to_vec()]);
        assert_eq!(read(b"").await, Vec::<Vec<u8>>::new());
        assert_eq!(read(b"\xff\x00\r\n").await, [b"\xff\x00\r".to_vec()]);
        let long = vec![b'x'; LONGEST + 10];
        assert_eq!(read(&long).await.iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST, 10]);
        let exact = [vec![b'x'; LONGEST], b"\ny\n".to_vec()].concat();
        assert_eq!(read(&exact).await.iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST, 1]);
    }
}
