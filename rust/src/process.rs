//! Worker processes.

use pyo3::prelude::*;

/// Has this process killed when its parent dies, so that no worker outlives a run. Does nothing
/// where the system offers no such thing: there a worker ends after its task, when its pipe does.
#[pyfunction]
pub fn die_with_parent() {
    #[cfg(target_os = "linux")]
    // SAFETY: a system call with constant arguments.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}
