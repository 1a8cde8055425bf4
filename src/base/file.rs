//! Files: one is written whole or not at all (beside its place first, synced, and then moved there), and only a regular one of
//! a bounded size is read.
//!
//! The file beside has a name that nobody can guess and is always a new one, so no link that somebody put there is followed.
//! A link in the file's own place is replaced and not written through. Below a directory of ours, [`write_below`] follows no
//! link at all.

use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

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

/// `O_NOFOLLOW`: a link in the place of a file is not opened.
#[cfg(all(target_os = "linux", any(target_arch = "arm", target_arch = "aarch64", target_arch = "powerpc64")))]
const NOFOLLOW: i32 = 0o100_000;
#[cfg(all(target_os = "linux", not(any(target_arch = "arm", target_arch = "aarch64", target_arch = "powerpc64"))))]
const NOFOLLOW: i32 = 0o400_000;
#[cfg(not(target_os = "linux"))]
const NOFOLLOW: i32 = 0x0100;

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
    // A pipe of the shell's has its writer; a FIFO in a directory may wait for one for ever, and no signal would end that.
    if kind.is_fifo() && !["/dev", "/proc"].iter().any(|system| path.starts_with(system)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is a FIFO", path.display())));
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

/// Returns the text of a file.
///
/// # Errors
/// What it is instead, as the end of a sentence that names the file.
pub fn text(bytes: Vec<u8>) -> Result<String, &'static str> {
    let is_wide = matches!(bytes[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, 0, ..] | [_, 0, _, 0, ..]);
    match String::from_utf8(bytes) {
        _ if is_wide => Err("is UTF-16 text; save it as UTF-8 (PowerShell: Out-File -Encoding utf8)"),
        Ok(text) => Ok(text),
        Err(_) => Err("is not UTF-8 text; save it as UTF-8"),
    }
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
    put(path, |file| file.write_all(bytes), Care { sync: true, secret: false })
}

/// Writes a file as [`write()`] does, piece by piece.
///
/// # Errors
/// It cannot be written, or `pieces` fails; what was there before is still there.
pub fn write_pieces(path: &Path, pieces: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let whole = |file: &mut fs_err::File| {
        let mut buffer = BufWriter::new(file);
        pieces(&mut buffer).and_then(|()| buffer.flush())
    };
    put(path, whole, Care { sync: true, secret: false })
}

/// Writes a file as [`write()`] does, which nobody but its owner may read.
///
/// # Errors
/// It cannot be written; what was there before is still there.
pub fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, |file| file.write_all(bytes), Care { sync: true, secret: true })
}

/// Opens a file to append to, and makes it where it is not there.
///
/// # Errors
/// It cannot be opened, or there is a link in its place.
pub fn append(path: &Path) -> io::Result<fs_err::File> {
    let opened = fs_err::OpenOptions::new().create(true).read(true).append(true).custom_flags(NOFOLLOW).open(path);
    opened.map_err(|error| match path.is_symlink() {
        true => io::Error::new(io::ErrorKind::InvalidInput, format!("{} is a link", path.display())),
        false => error,
    })
}

/// Writes a file below a directory, as [`write()`] does but unsynced: thousands of files are not synced one by one, since a
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
            return put(&path, |file| file.write_all(bytes), Care::default());
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
    let (beside, _) = beside(path, false)?;
    fs_err::remove_file(&beside)
}

/// Whether two paths lead to one file, which need not be there yet.
pub fn are_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        path.canonicalize()
            .or_else(|_| Ok::<_, io::Error>(parent.canonicalize()?.join(path.file_name().unwrap_or_default())))
    };
    one == other || matches!((whole(one), whole(other)), (Ok(one), Ok(other)) if one == other)
}

/// How a file is written.
#[derive(Clone, Copy, Default)]
struct Care {
    /// Until it is on the disk.
    sync: bool,
    /// For its owner alone.
    secret: bool,
}

fn put(path: &Path, write: impl FnOnce(&mut fs_err::File) -> io::Result<()>, care: Care) -> io::Result<()> {
    let (beside, mut file) = beside(path, care.secret)?;
    let written = write(&mut file).and_then(|()| if care.sync { file.sync_all() } else { Ok(()) });
    written.and_then(|()| fs_err::rename(&beside, path)).inspect_err(|_| {
        // Remove the partial file; ignore a failure to do so.
        let _ = fs_err::remove_file(&beside);
    })
}

/// Makes a new file for what is not finished, beside its place.
fn beside(path: &Path, secret: bool) -> io::Result<(PathBuf, fs_err::File)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display())))?;
    let mut random = [0_u8; 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("the system has no random numbers"))?;
    let mut beside = OsString::from(".");
    // A name has at most 255 bytes; the random part alone keeps names apart.
    beside.push(name.to_string_lossy().chars().take(40).collect::<String>());
    beside.push(format!(".{:016x}", u64::from_be_bytes(random)));
    let beside = path.with_file_name(beside);
    let mode = if secret { 0o600 } else { 0o666 };
    let file = fs_err::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
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
    fn a_journal_is_appended_to_and_never_through_a_link() {
        let directory = Directory::new("append");
        let (path, link) = (directory.0.join("journal"), directory.0.join("link"));
        for line in [b"one\n", b"two\n"] {
            append(&path).and_then(|mut file| file.write_all(line)).expect("written");
        }
        assert_eq!(fs_err::read_to_string(&path).expect("a file"), "one\ntwo\n");
        symlink(&path, &link).expect("a link");
        let refused = append(&link).expect_err("a link");
        assert_eq!(
            (refused.kind(), refused.to_string().ends_with("link is a link")),
            (io::ErrorKind::InvalidInput, true)
        );
        // One that leads to nothing makes nothing.
        symlink(directory.0.join("nothing"), directory.0.join("dangling")).expect("a link");
        assert!(append(&directory.0.join("dangling")).is_err() && !directory.0.join("nothing").exists());
    }

    #[test]
    fn a_secret_is_for_its_owner_and_replaces_a_link() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = Directory::new("secret");
        let (other, path) = (directory.0.join("other"), directory.0.join("token"));
        fs_err::write(&other, "mine").expect("written");
        symlink(&other, &path).expect("a link");
        write_secret(&path, b"token").expect("written");
        assert_eq!(fs_err::read_to_string(&other).expect("a file"), "mine");
        assert_eq!(fs_err::symlink_metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
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
        let errors = [read(&path, 8), read_given(&path, 8)].map(|read| read.map_err(|error| error.kind()));
        fs_err::remove_file(&path).expect("it is there");
        assert_eq!(errors, [Err(io::ErrorKind::InvalidInput), Err(io::ErrorKind::InvalidInput)]);
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
