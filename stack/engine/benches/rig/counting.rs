//! How much is allocated? The system's allocator, which counts: calls of this thread, bytes in use of all threads.

// `GlobalAlloc` is an unsafe trait. Every call is passed on as it came; nothing of what it returns is looked at.
#![allow(unsafe_code, reason = "an allocator can be counted only by standing in its place")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// To be named as the `#[global_allocator]`.
pub(crate) struct Counting;

thread_local! {
    // Const: a lazy one would allocate in the allocator.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

static IN_USE: AtomicUsize = AtomicUsize::new(0);

fn called() {
    // A thread that is ending has none any more; nobody counts there.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: all is handed to `System`, which keeps the contract; counting does not allocate and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        called();
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        called();
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        called();
        IN_USE.fetch_add(size, Relaxed);
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's pointer and layout, unchanged.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's pointer and layout, unchanged.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Calls that allocate or change an allocation, made by this thread while `work` ran.
pub(crate) fn calls_of(work: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    work();
    CALLS.with(Cell::get) - before
}

/// Bytes that are allocated now, as they were asked for.
pub(crate) fn in_use() -> usize {
    IN_USE.load(Relaxed)
}
