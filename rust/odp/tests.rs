// SPDX-License-Identifier: GPL-2.0

//! What the KUnit suites share: numbers that are random but the same every time, memory of a process
//! to work on, and a word about what was wrong.
//!
//! The library has this, and the suites, only where it is compiled for `odp_kunit.ko`.

use crate::{
    notifier::{IntervalNotifier, Invalidate, InvalidateLocked, Watch},
    region::FaultWorkers,
    DmaMode, PageRange, PageShift, UserVa,
};
use core::{fmt::Debug, ptr::null_mut};
use kernel::{
    bindings,
    device::{Bound, Device},
    dma::DmaAddress,
    error::{from_err_ptr, to_result},
    fmt,
    mm::MmWithUser,
    new_spinlock,
    page::Page,
    prelude::*,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        lock::spinlock::SpinLockGuard,
        Arc, SetOnce, SpinLock,
    },
    time::{delay::fsleep, Delta},
    uaccess::{UserPtr, UserSlice},
    workqueue,
};

/// The page size in bytes.
pub const PAGE: u64 = PageShift::BASE.bytes();

/// From `include/uapi/asm-generic/mman*.h`.
const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_PRIVATE: usize = 0x02;
const MAP_FIXED: usize = 0x10;
const MAP_ANONYMOUS: usize = 0x20;

extern "C" {
    /// From `include/kunit/device.h`, of a `struct kunit` and with a `struct device`.
    fn kunit_device_register(test: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// What all random numbers come from.
static SEED: Atomic<u64> = Atomic::new(1);

/// Sets the seed of the suites that run from now on.
pub fn set_seed(seed: u64) {
    SEED.store(seed, Relaxed);
}

/// The workers of the regions of all suites, since the first of them.
static WORKERS: SetOnce<Arc<FaultWorkers>> = SetOnce::new();

/// Who serves page faults.
///
/// # Errors
///
/// `ENOMEM`.
pub fn workers() -> Result<Arc<FaultWorkers>> {
    if WORKERS.as_ref().is_none() {
        // Two suites may do this at a time.
        // SAFETY: The module of the suites ends them by `tear_down`, when no test runs any more.
        WORKERS.populate(unsafe { FaultWorkers::new()? });
    }
    WORKERS.as_ref().cloned().ok_or(ENOMEM)
}

/// What there is to be done when no suite runs any more.
pub fn tear_down() {
    if let Some(workers) = WORKERS.as_ref() {
        workers.end(|_| ());
    }
}

/// Random numbers (SplitMix64). Each test has the same ones in every run with the same seed.
pub struct Random(u64);

impl Random {
    /// The numbers of the test `name`.
    pub fn new(name: &str) -> Self {
        // The tests of a suite are not to see the same numbers, so that one more is one more.
        let salt = name
            .bytes()
            .fold(0u64, |salt, byte| salt.rotate_left(7) ^ u64::from(byte));

        Self(SEED.load(Relaxed) ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number().checked_rem(limit).unwrap_or(0)
    }

    /// A number of any length in bits, so that small ones are as likely as large ones.
    pub fn of_any_length(&mut self) -> u64 {
        let bits = self.below(64) as u32;

        self.number() >> bits
    }

    /// A number near to a place where arithmetic goes wrong: zero, a power of two, the largest.
    pub fn near_an_edge(&mut self) -> u64 {
        let edge = match self.below(3) {
            0 => 0,
            1 => 1u64 << self.below(64),
            _ => u64::MAX,
        };
        let distance = self.below(3).wrapping_mul(PAGE) >> self.below(13);

        match self.below(2) {
            0 => edge.wrapping_add(distance),
            _ => edge.wrapping_sub(distance),
        }
    }

    /// One way or the other.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Any page size.
    pub fn shift(&mut self) -> Result<PageShift> {
        let sizes = PageShift::MAX - PageShift::BASE.get() + 1;

        PageShift::new(PageShift::BASE.get() + self.below(sizes.into()) as u32)
    }
}

/// Whether `is` is what it should be. If not, says so, with what was asked.
pub fn same<T: PartialEq + Debug>(asked: fmt::Arguments<'_>, is: T, should: T) -> bool {
    if is != should {
        let seed = SEED.load(Relaxed);
        kernel::kunit::err(fmt!(
            "    # {asked}: is {is:?} and should be {should:?} (seed={seed})\n"
        ));
    }
    is == should
}

/// Waits until `condition` holds, for some seconds at most. Returns whether it does.
pub fn eventually(condition: impl Fn() -> bool) -> bool {
    (0..10_000).any(|_| {
        let holds = condition();
        if !holds {
            fsleep(Delta::from_millis(1));
        }
        holds
    })
}

/// Runs `job` in another task.
pub fn in_another_task(job: impl FnOnce() + Send + 'static) -> Result {
    let mut job = Some(job);

    spawn(KBox::new(
        move || {
            if let Some(job) = job.take() {
                job();
            }
        },
        GFP_KERNEL,
    )?)
}

/// For one type of jobs. Those of `try_spawn()` share one lockdep class, which has as many names as
/// there are types, and lockdep wants one.
fn spawn(mut job: KBox<dyn FnMut() + Send>) -> Result {
    workqueue::system_unbound().try_spawn(GFP_KERNEL, move || (*job)())?;
    Ok(())
}

/// Gives the current task, a thread of KUnit's, an address space. It goes with the thread.
pub fn attach_mm() -> Result {
    // SAFETY: The current task is a kernel thread.
    to_result(unsafe { bindings::kunit_attach_mm() })
}

/// What a mapping allows.
pub enum Protection {
    /// To be read.
    Read,
    /// To be read and written.
    Write,
}

/// Anonymous memory of the current task, which has an address space.
pub struct UserMemory {
    start: u64,
    len: u64,
}

impl UserMemory {
    /// Maps `pages` pages, at an address that is the same modulo 2 MiB in every run: `offset` pages
    /// after a multiple of it.
    pub fn new(pages: u64, offset: u64) -> Result<Self> {
        attach_mm()?;
        let window = PageShift::TWO_MIB;
        let room = map(0, pages * PAGE + 2 * window.bytes(), Protection::Read, 0)?;
        let start = UserVa::new(room).align_up(window)?.get() + offset * PAGE;

        // SAFETY: The address space is ours alone.
        to_result(unsafe {
            bindings::vm_munmap(room as usize, (pages * PAGE + 2 * window.bytes()) as usize)
        })?;
        map(start, pages * PAGE, Protection::Write, MAP_FIXED)?;
        Ok(Self {
            start,
            len: pages * PAGE,
        })
    }

    /// The address of a page, and of the end.
    pub fn page(&self, number: u64) -> UserVa {
        UserVa::new(self.start + number * PAGE)
    }

    /// The address of a byte.
    pub fn at(&self, offset: u64) -> UserVa {
        UserVa::new(self.start + offset)
    }

    /// All of it.
    pub fn range(&self) -> Result<PageRange> {
        PageRange::covering(UserVa::new(self.start), self.len, PageShift::BASE)
    }

    /// `pages` pages from page `first` on.
    pub fn part(&self, first: u64, pages: u64) -> Result<PageRange> {
        PageRange::covering(self.page(first), pages * PAGE, PageShift::BASE)
    }

    /// Takes pages away from the process. Nothing is mapped there then.
    pub fn unmap(&self, first: u64, pages: u64) -> Result {
        // SAFETY: The address space is ours alone.
        to_result(unsafe {
            bindings::vm_munmap(self.page(first).get() as usize, (pages * PAGE) as usize)
        })
    }

    /// Puts new pages, all zeroes, in the place of others.
    pub fn replace(&self, first: u64, pages: u64, protection: Protection) -> Result {
        let at = self.page(first).get();

        map(at, pages * PAGE, protection, MAP_FIXED).map(|_| ())
    }

    /// Writes as the process does.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result {
        self.slice(offset, bytes.len()).writer().write_slice(bytes)
    }

    /// Reads as the process does.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result {
        self.slice(offset, bytes.len()).reader().read_slice(bytes)
    }

    fn slice(&self, offset: u64, len: usize) -> UserSlice {
        UserSlice::new(UserPtr::from_addr(self.at(offset).get() as usize), len)
    }
}

fn map(at: u64, len: u64, protection: Protection, flags: usize) -> Result<u64> {
    let protection = match protection {
        Protection::Read => PROT_READ,
        Protection::Write => PROT_READ | PROT_WRITE,
    };
    // SAFETY: The current task has an address space of its own. No file is mapped.
    let address = unsafe {
        bindings::vm_mmap(
            null_mut(),
            at as usize,
            len as usize,
            protection,
            flags | MAP_PRIVATE | MAP_ANONYMOUS,
            0,
        )
    };

    // CAST: An errno is a small number.
    match address as isize {
        errno @ -4095..=-1 => Err(Error::from_errno(errno as i32)),
        _ => Ok(address as u64),
    }
}

/// How many references there are to the page of a frame number.
pub fn references(pfn: usize) -> i32 {
    // SAFETY: All memory has a `struct page`, be it free, and who counts meanwhile does so atomically.
    unsafe {
        let page = odp_bindings::hmm_pfn_to_page(pfn);
        (&raw const (*page)._refcount.counter).read_volatile()
    }
}

/// Pages of the kernel's own, in the place of those that a walk would see.
pub struct KernelPages(KVec<Page>);

impl KernelPages {
    /// So many.
    pub fn new(number: usize) -> Result<Self> {
        let mut pages = KVec::with_capacity(number, GFP_KERNEL)?;

        for _ in 0..number {
            pages.push(Page::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(Self(pages))
    }

    /// A page's frame number.
    pub fn pfn(&self, number: usize) -> usize {
        self.0.get(number).map_or(0, |page| {
            // SAFETY: Both are in the array of all pages, of which this only computes addresses.
            let pfn = unsafe { page.as_ptr().offset_from(odp_bindings::hmm_pfn_to_page(0)) };
            // CAST: Pages are counted from zero on.
            pfn as usize
        })
    }

    /// How many references there are to a page.
    pub fn references(&self, number: usize) -> i32 {
        references(self.pfn(number))
    }

    /// Whether a page has been marked dirty since it was last asked.
    pub fn was_dirtied(&self, number: usize) -> bool {
        const DIRTY: usize = 1 << bindings::pageflags_PG_dirty;

        self.0.get(number).is_some_and(|page| {
            // SAFETY: The page is ours alone, and so are its flags.
            unsafe {
                let flags = (&raw mut (*page.as_ptr()).flags).cast::<usize>();
                let before = flags.read();
                flags.write(before & !DIRTY);
                before & DIRTY != 0
            }
        })
    }
}

/// Somebody who watches addresses, and writes down what he is told.
#[pin_data]
pub(crate) struct Watcher {
    #[pin]
    told: SpinLock<Told>,
}

/// What a [`Watcher`] was told, and what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// How often.
    pub(crate) times: usize,
    /// The last time.
    pub(crate) start: UserVa,
    pub(crate) end: UserVa,
    /// Whether a device uses the pages.
    pub(crate) busy: bool,
}

/// The lock of a [`Watcher`].
pub(crate) struct Quiet<'a> {
    notifier: &'a IntervalNotifier,
    pub(crate) told: SpinLockGuard<'a, Told>,
}

// SAFETY: The watcher's callback takes this lock.
unsafe impl InvalidateLocked for Quiet<'_> {
    fn notifier(&self) -> &IntervalNotifier {
        self.notifier
    }
}

// SAFETY: It takes the lock of the watch that it is given, which spins, and nothing sleeps.
unsafe impl Invalidate for Watcher {
    type Guard<'a> = Quiet<'a>;

    fn lock(watch: &Watch<Self>) -> Quiet<'_> {
        Quiet {
            notifier: watch.notifier(),
            told: watch.told.lock(),
        }
    }

    fn would_wait(guard: &Quiet<'_>) -> bool {
        guard.told.busy
    }

    fn invalidated(mut guard: Quiet<'_>, start: UserVa, end: UserVa) {
        guard.told.times += 1;
        (guard.told.start, guard.told.end) = (start, end);
    }
}

/// Watches `range` in the address space of the current task.
pub(crate) fn watch(range: &PageRange) -> Result<Pin<KBox<Watch<Watcher>>>> {
    let told = Told {
        times: 0,
        start: UserVa::new(0),
        end: UserVa::new(0),
        busy: false,
    };

    with_mm(|mm| {
        let watcher = pin_init!(Watcher { told <- new_spinlock!(told) });
        KBox::pin_init(Watch::new(mm, range, watcher), GFP_KERNEL)
    })
}

/// Calls `test` with the address space of the current task.
pub fn with_mm<R>(test: impl FnOnce(&MmWithUser) -> Result<R>) -> Result<R> {
    attach_mm()?;
    test(kernel::current!().mm().ok_or(EINVAL)?)
}

/// How pages are mapped for a [`device()`]. A kernel that checks the use of DMA wants to be told of their
/// unmapping, though there is nothing to undo.
pub const DMA_MODE: DmaMode = match cfg!(CONFIG_DMA_API_DEBUG) {
    true => DmaMode::List,
    false => DmaMode::Direct,
};

/// A device that is bound to a driver and can do DMA to all memory, at its physical addresses. It
/// goes when the test ends.
pub fn device() -> Result<&'static Device<Bound>> {
    static DEVICES: Atomic<u64> = Atomic::new(0);
    let name = CString::try_from_fmt(fmt!("odp{}", DEVICES.fetch_add(1, Relaxed)))?;

    // SAFETY: A test runs in the current task; its devices are its own, and unregistered after it. The
    // name is copied.
    unsafe {
        let test = bindings::kunit_get_current_test();
        if test.is_null() {
            return Err(EINVAL);
        }
        let device = kunit_device_register(test.cast(), name.as_char_ptr());
        let device = from_err_ptr(device)?.cast();
        to_result(bindings::dma_set_mask(device, u64::MAX))?;
        Ok(Device::from_raw(device))
    }
}

/// What the device sees of memory that is mapped for it.
///
/// # Safety
///
/// `len` bytes from `address` on must be mapped for a [`device()`], as long as the result lives, and
/// nobody else may look at them.
pub unsafe fn by_dma<'a>(address: DmaAddress, len: usize) -> &'a mut [u8] {
    // SAFETY: It is a physical address, of memory in the direct map. The rest is the caller's promise.
    unsafe {
        let page = odp_bindings::pfn_to_kaddr((address >> PageShift::BASE.get()) as usize);
        let at = page.cast::<u8>().add((address % PAGE) as usize);
        core::slice::from_raw_parts_mut(at, len)
    }
}
