//! Large zeroed arrays on huge pages.
//!
//! A table that is probed at random touches a new 4 KiB page at nearly every step; with pages of
//! 2 MiB the whole of word count takes half as long. Fresh memory is dear besides (the kernel zeroes
//! it page by page), so the largest array to be freed is kept for the next task.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// What may stand in pages: plain data for which all bytes zero is a value.
///
/// # Safety
/// Every bit pattern is valid, and the alignment divides that of a page.
pub unsafe trait Plain: Copy {}

pub struct Pages<T: Plain> {
    region: Region,
    len: usize,
    _of: std::marker::PhantomData<T>,
}

struct Region {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: a region is memory of its own, reached through one owner.
unsafe impl Send for Region {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for Region {}

static SPARE: Mutex<Option<Region>> = Mutex::new(None);

// SAFETY: integers.
unsafe impl Plain for u64 {}

impl<T: Plain> Pages<T> {
    /// How many elements the array has that is kept, if there is one.
    pub fn spare() -> Option<usize> {
        let spare = SPARE.lock().ok()?;
        spare.as_ref().map(|region| region.bytes / size_of::<T>())
    }

    /// `len` elements, all bytes zero.
    pub fn zeroed(len: usize) -> Self {
        let bytes = (len * size_of::<T>()).max(1);
        let mut spare = SPARE.lock().ok();
        let spare = spare
            .as_mut()
            .and_then(|spare| spare.take_if(|region| region.bytes == bytes));
        let region = match spare {
            Some(region) => {
                // SAFETY: the region is `bytes` long and belongs to nobody else.
                unsafe { region.start.write_bytes(0, bytes) };
                region
            }
            None => Region::map(bytes),
        };
        Self {
            region,
            len,
            _of: std::marker::PhantomData,
        }
    }
}

impl Region {
    fn map(bytes: usize) -> Self {
        // SAFETY: an anonymous mapping, which overlaps nothing; the result is checked.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            std::alloc::handle_alloc_error(std::alloc::Layout::array::<u8>(bytes).unwrap());
        }
        #[cfg(target_os = "linux")]
        // SAFETY: advice about the mapping just made; where it is not taken, pages are small.
        unsafe {
            libc::madvise(start, bytes, libc::MADV_HUGEPAGE);
        }
        Self {
            start: start.cast(),
            bytes,
        }
    }
}

impl<T: Plain> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the region holds `len` elements of plain data, aligned to a page.
        unsafe { std::slice::from_raw_parts(self.region.start.cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.region.start.cast(), self.len) }
    }
}

impl<T: Plain> Drop for Pages<T> {
    fn drop(&mut self) {
        let none = Region {
            start: std::ptr::null_mut(),
            bytes: 0,
        };
        let region = std::mem::replace(&mut self.region, none);
        if let Ok(mut spare) = SPARE.lock()
            && spare.as_ref().is_none_or(|old| old.bytes <= region.bytes)
        {
            *spare = Some(region);
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: the mapping made in `map`, which nobody else refers to.
            unsafe { libc::munmap(self.start.cast(), self.bytes) };
        }
    }
}
