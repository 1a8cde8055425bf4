//! Files: one is written whole or not at all (beside its place first, synced, and then moved there), and only a regular one of
//! a bounded size is read.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;

/// A journal, a saved plan or another file of a run: more than any fleet writes, and less than a machine has.
pub const LARGEST: u64 = 1 << 30;
/// A token, a policy or a bundle of certificates.
pub const SMALL: u64 = 4 << 20;

/// `O_NONBLOCK`: a FIFO without a writer is opened at once, so that it can be refused.
#[cfg(target_os = "linux")]
const NONBLOCK: i32 = 0o4000;
#[cfg(not(target_os = "linux"))]
const NONBLOCK: i32 = 0x0004;

/// Reads a regular file of at most `limit` bytes, such as one that a manifest names: no device, which may never end, and no
/// FIFO, which may never begin.
///
/// # Errors
/// It cannot be read, is not a regular file, or is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = fs_err::OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a regular file", path.display())));
    }
    take(file, limit)
}

/// Reads what a flag names: a file, or a pipe such as `/dev/stdin` or `<(command)`, of at most `limit` bytes.
///
/// # Errors
/// It cannot be read, is a device, or is larger.
pub fn read_given(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let kind = fs_err::metadata(path)?.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is a device", path.display())));
    }
    take(fs_err::File::open(path)?, limit)
}

fn take(file: fs_err::File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let path = file.path().display().to_string();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{path} is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Skips the byte order mark that some editors and shells write before a text.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Writes a file, readable as the umask says, so that the job's artifact upload can read it.
///
/// # Errors
/// It cannot be written; what was there before is still there.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    let written = synced(&beside, bytes).and_then(|()| fs_err::rename(&beside, path));
    written.inspect_err(|_| {
        // What is half there helps nobody; that it cannot be removed either is the lesser news.
        let _ = fs_err::remove_file(&beside);
    })
}

/// Makes sure that a file can be written, and makes the directories in which it is to stand.
///
/// # Errors
/// It cannot be written.
pub fn check(path: &Path) -> io::Result<()> {
    if path.exists() && !path.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a file", path.display())));
    }
    let beside = beside(path)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::File::create(&beside)?;
    fs_err::remove_file(&beside)
}

/// Returns the place of a file that is not finished.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display())))?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(beside))
}

fn synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs_err::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_a_bounded_size_is_read() {
        let kind = |path: &str, limit| read(Path::new(path), limit).map_err(|error| error.kind());
        assert_eq!(kind("/dev/zero", 8), Err(io::ErrorKind::InvalidInput));
        assert_eq!(kind("src", 8), Err(io::ErrorKind::InvalidInput));
        // Its size is told as zero, and it has more.
        assert_eq!(kind("/proc/self/environ", 0), Err(io::ErrorKind::FileTooLarge));
        assert_eq!(kind("Cargo.toml", 8), Err(io::ErrorKind::FileTooLarge));
        assert!(kind("Cargo.toml", 1 << 20).is_ok());
    }

    #[test]
    fn a_fifo_without_a_writer_is_refused_at_once() {
        let path = std::env::temp_dir().join(format!("roleout-fifo-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        let error = read(&path, 8).map_err(|error| error.kind());
        fs_err::remove_file(&path).expect("it is there");
        assert_eq!(error, Err(io::ErrorKind::InvalidInput));
    }

    #[test]
    fn what_a_flag_names_may_be_a_pipe_and_no_device() {
        let mut command = std::process::Command::new("printf");
        let child = command.arg("text").stdout(std::process::Stdio::piped()).spawn().expect("printf");
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(child.stdout.as_ref().expect("a pipe")));
        assert_eq!(read_given(Path::new(&path), 8).expect("the text"), b"text");
        child.wait_with_output().expect("its end");
        let zero = read_given(Path::new("/dev/zero"), 8).map_err(|error| error.kind());
        assert_eq!(zero, Err(io::ErrorKind::InvalidInput));
    }
}
