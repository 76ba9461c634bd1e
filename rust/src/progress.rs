//! How far the task of this process is, told where another process sees it without asking.

use std::io::{self, Read};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;

/// What a task tells of itself, as it stands in the shared page: three numbers of 64 bits.
#[repr(C)]
struct Told {
    /// Bytes of its input, as they are stored, of which so many are read.
    size: AtomicU64,
    read: AtomicU64,
    /// Records that were passed on.
    records: AtomicU64,
}

/// Where nobody looks.
static OWN: Told = Told {
    size: AtomicU64::new(0),
    read: AtomicU64::new(0),
    records: AtomicU64::new(0),
};
static TOLD: AtomicPtr<Told> = AtomicPtr::new(ptr::from_ref(&OWN).cast_mut());

fn told() -> &'static Told {
    // SAFETY: it points to the static, or to a page that stays mapped; both are only changed
    // through atomics.
    unsafe { &*TOLD.load(Relaxed) }
}

/// From now on, tells what the task of this process does in the file of that descriptor: in its
/// first 24 bytes, as numbers of 64 bits, how many bytes the task's input has, how many of these
/// are read, and how many records were passed on.
#[pyfunction]
pub fn tell_progress(descriptor: i32) -> PyResult<()> {
    // SAFETY: a new mapping, which nobody else knows of; the system checks the descriptor.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size_of::<Told>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            descriptor,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error().into());
    }
    TOLD.store(page.cast(), Relaxed);
    Ok(())
}

/// A task begins, whose input has so many bytes.
#[pyfunction]
pub fn begin_reading(size: u64) {
    let told = told();
    told.read.store(0, Relaxed);
    told.records.store(0, Relaxed);
    told.size.store(size, Relaxed);
}

/// So many bytes of the task's input are read by now, whatever was told before.
#[pyfunction]
pub fn read_up_to(position: u64) {
    told().read.store(position, Relaxed);
}

/// So many more bytes of the task's input are read.
#[pyfunction]
pub fn has_read(bytes: u64) {
    told().read.fetch_add(bytes, Relaxed);
}

/// So many more records were passed on. One thread at a time says so: that which feeds the task.
pub fn passed_on(count: u64) {
    let records = &told().records;
    records.store(records.load(Relaxed) + count, Relaxed);
}

/// A reader of input that is to be told of.
pub struct Counted<R>(pub R);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        has_read(count as u64);
        Ok(count)
    }
}
