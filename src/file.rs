//! Files: one is written whole or not at all (beside its place first, synced, and then moved there), and only a regular one of
//! a bounded size is read.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Reads a regular file of at most `limit` bytes: no device, which may never end, and no FIFO, which may never begin.
///
/// # Errors
/// It cannot be read, is not a regular file, or is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let is_regular = |is_file: bool| match is_file {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no regular file")),
    };
    // Before it is opened, since that alone can wait for ever; and once more, of what was opened.
    is_regular(fs_err::metadata(path)?.is_file())?;
    let file = fs_err::File::open(path)?;
    is_regular(file.metadata()?.is_file())?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the file is larger than {limit} bytes")));
    }
    Ok(bytes)
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
}
