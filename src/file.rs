//! A file that is written whole or not at all: beside its place first, synced, and then moved there.
//!
//! The file beside has a name that nobody can guess and is always a new one, so no link that somebody put there is followed.
//! A link in the file's own place is replaced and not written through. Below a directory of ours, [`write_below`] follows no
//! link at all.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

/// Writes a file, readable as the umask says, so that the job's artifact upload can read it.
///
/// # Errors
/// It cannot be written; what was there before is still there.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, true)
}

/// Writes a file below a directory, as [`write`] does but unsynced: thousands of files are not synced one by one, since a
/// cancelled job has no time for that. What is between the directory and the file is made where it is not there.
///
/// # Errors
/// `below` leads out of the directory, by its words or by a link; or it cannot be written.
pub fn write_below(directory: &Path, below: &Path, bytes: &[u8]) -> io::Result<()> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
    fs_err::create_dir_all(directory)?;
    let mut path = directory.to_path_buf();
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else {
            return Err(invalid(format!("{} leads out of {}", below.display(), directory.display())));
        };
        path.push(part);
        if parts.peek().is_none() {
            return put(&path, bytes, false);
        }
        match fs_err::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if !fs_err::symlink_metadata(&path)?.is_dir() {
            return Err(invalid(format!("{} is a link or a file, and not a directory", path.display())));
        }
    }
    Err(invalid("no file is named".to_owned()))
}

/// Makes sure that a file can be written, and makes the directories in which it is to stand.
///
/// # Errors
/// It cannot be written.
pub fn check(path: &Path) -> io::Result<()> {
    let found = path.symlink_metadata().ok();
    if found.is_some_and(|found| !found.is_file() && !found.is_symlink()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is not a file", path.display())));
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs_err::create_dir_all(parent)?;
    }
    let (beside, _) = beside(path)?;
    fs_err::remove_file(&beside)
}

fn put(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let (beside, mut file) = beside(path)?;
    let written = file.write_all(bytes).and_then(|()| if sync { file.sync_all() } else { Ok(()) });
    written.and_then(|()| fs_err::rename(&beside, path)).inspect_err(|_| {
        // What is half there helps nobody; that it cannot be removed either is the lesser news.
        let _ = fs_err::remove_file(&beside);
    })
}

/// Makes a new file for what is not finished, beside its place.
fn beside(path: &Path) -> io::Result<(PathBuf, fs_err::File)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display())))?;
    let mut random = [0_u8; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("the system has no random numbers"))?;
    let mut beside = OsString::from(".");
    // A name has 255 bytes at the most; the random part alone keeps names apart.
    beside.push(name.to_string_lossy().chars().take(40).collect::<String>());
    beside.push(format!(".{:016x}", u64::from_be_bytes(random)));
    let beside = path.with_file_name(beside);
    let file = fs_err::OpenOptions::new().write(true).create_new(true).open(&beside)?;
    Ok((beside, file))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("roleout-file-{}-{name}", std::process::id()));
            fs_err::create_dir_all(&path).expect("a directory");
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let directory = Directory::new("links");
        let (other, path) = (directory.0.join("other"), directory.0.join("plan.json"));
        fs_err::write(&other, "mine").expect("written");
        symlink(&other, &path).expect("a link");
        // The names that used to be beside it.
        symlink(&other, directory.0.join(format!(".plan.json.{}", std::process::id()))).expect("a link");
        check(&path).expect("it can be written");
        write(&path, b"plan").expect("written");
        assert_eq!(fs_err::read_to_string(&other).expect("a file"), "mine");
        assert_eq!(fs_err::read_to_string(&path).expect("a file"), "plan");
        assert!(!path.is_symlink());
        assert_eq!(fs_err::read_dir(&directory.0).expect("a directory").count(), 3, "nothing is left beside it");
    }

    #[test]
    fn nothing_is_written_outside_of_a_directory() {
        let directory = Directory::new("below");
        let (reports, outside) = (directory.0.join("reports"), directory.0.join("outside"));
        fs_err::create_dir_all(&outside).expect("a directory");
        write_below(&reports, Path::new("log/a/b.log"), b"one").expect("written");
        assert_eq!(fs_err::read_to_string(reports.join("log/a/b.log")).expect("a file"), "one");
        symlink(&outside, reports.join("log/link")).expect("a link");
        for below in ["log/link/b.log", "../outside/b.log", "/tmp/b.log", "log/../../b.log", ""] {
            assert!(write_below(&reports, Path::new(below), b"two").is_err(), "{below}");
        }
        assert_eq!(fs_err::read_dir(&outside).expect("a directory").count(), 0);
        // A link to a file is replaced.
        symlink(outside.join("target"), reports.join("log/a/c.log")).expect("a link");
        write_below(&reports, Path::new("log/a/c.log"), b"three").expect("written");
        assert!(!outside.join("target").exists() && !reports.join("log/a/c.log").is_symlink());
    }
}
