//! Putting one folder in the place of another.

use std::io;
use std::path::{Path, PathBuf};

use pyo3::prelude::*;

/// Exchanges two folders of one file system: at once where the system can, and otherwise by
/// renames, which are taken back if one of them fails.
#[pyfunction]
pub fn swap(a: PathBuf, b: PathBuf) -> PyResult<()> {
    match exchange(&a, &b) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        result => return Ok(result?),
    }
    let aside = a.with_extension("old");
    std::fs::rename(&b, &aside)?;
    if let Err(error) = std::fs::rename(&a, &b) {
        std::fs::rename(&aside, &b)?;
        return Err(error.into());
    }
    Ok(std::fs::rename(&aside, &a)?)
}

#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    let (a, b) = (
        CString::new(a.as_os_str().as_bytes())?,
        CString::new(b.as_os_str().as_bytes())?,
    );
    // SAFETY: a system call with two live C strings.
    let status = unsafe {
        let at = libc::AT_FDCWD;
        libc::renameat2(at, a.as_ptr(), at, b.as_ptr(), libc::RENAME_EXCHANGE)
    };
    if status == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS) => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
