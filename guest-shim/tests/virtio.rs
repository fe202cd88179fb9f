//! Drivers of `virtio-drivers` against a device that can only touch what is shared.
//!
//! The device is played here, on the bytes of the VIRTIO specification (1.2, 2.7 "Split
//! Virtqueues"), and asks the fake hypervisor about each page before it reads or writes.
#![expect(unsafe_code, reason = "the test is the guest's memory and the device on it")]

use std::alloc::{Layout, alloc_zeroed};
use std::cell::RefCell;
use std::ptr::NonNull;

use guest_shim::fake::{FakeHypervisor, Quirks};
use guest_shim::virtio::{Platform, Pool, PoolError, PoolMemory, SharingHal};
use guest_shim::{Dialect, Error, MemSharingHypervisor, Services};
use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const RAM: u64 = 0x4000_0000;
const PAGES: usize = 16;

type Found = Services<&'static FakeHypervisor>;

fn found(quirks: Quirks) -> (&'static FakeHypervisor, &'static Found) {
    let fake: &FakeHypervisor = Box::leak(Box::new(FakeHypervisor::new(quirks)));
    (fake, Box::leak(Box::new(Services::discover(fake, Dialect::Pkvm).unwrap())))
}

fn memory(pages: usize) -> (PoolMemory, &'static mut [u64]) {
    let layout = Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap();
    // SAFETY: the layout has bytes.
    let va = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
    // Something that would be seen if it leaked.
    // SAFETY: the bytes were just allocated.
    unsafe { va.write_bytes(0xee, layout.size()) };
    let words = Box::leak(vec![u64::MAX; pages].into_boxed_slice());
    (PoolMemory { va, ipa: RAM, bytes: layout.size() }, words)
}

/// What a thread, that is a test, runs on.
struct Machine {
    fake: &'static FakeHypervisor,
    memory: PoolMemory,
    pool: RefCell<Option<Pool>>,
}

thread_local! {
    static MACHINE: RefCell<Option<&'static Machine>> = const { RefCell::new(None) };
}

fn machine() -> &'static Machine {
    MACHINE.with_borrow(|machine| machine.unwrap())
}

/// Puts a machine with a shared pool under this test.
fn start(quirks: Quirks) -> &'static Machine {
    let (fake, services) = found(quirks);
    let (memory, words) = memory(PAGES);
    // SAFETY: the memory was allocated for the pool and is never freed.
    let pool = unsafe { Pool::shared(&services.mem_sharing().unwrap(), memory, words) }.unwrap();
    let machine = Machine { fake, memory, pool: RefCell::new(Some(pool)) };
    MACHINE.set(Some(Box::leak(Box::new(machine))));
    crate::machine()
}

impl Machine {
    /// Where the host finds `bytes` at `ipa`. Panics if not all of it is shared.
    fn host_view(&self, ipa: u64, bytes: u64) -> NonNull<u8> {
        let page = PAGE_SIZE as u64;
        for at in (ipa / page..=(ipa + bytes - 1) / page).map(|n| n * page) {
            assert!(self.fake.shared().contains(&at), "the device touches private {at:#x}");
        }
        let offset = usize::try_from(ipa - self.memory.ipa).unwrap();
        assert!(offset + usize::try_from(bytes).unwrap() <= self.memory.bytes);
        // SAFETY: the offset lies within the memory.
        unsafe { self.memory.va.add(offset) }
    }

    fn host_read<T: FromBytes>(&self, ipa: u64) -> T {
        let at = self.host_view(ipa, size_of::<T>() as u64).cast::<T>();
        // SAFETY: the bytes are there, and any will do for `T`.
        unsafe { at.read_unaligned() }
    }

    fn host_write(&self, ipa: u64, bytes: &[u8]) {
        let at = self.host_view(ipa, bytes.len() as u64);
        // SAFETY: the room is there, and `bytes` is not part of the pool.
        unsafe { at.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    }
}

struct Guest;

// SAFETY: there is one pool, and one thread that uses it; no device has registers.
unsafe impl Platform for Guest {
    fn with_pool<R>(work: impl FnOnce(&mut Pool) -> R) -> R {
        work(machine().pool.borrow_mut().as_mut().unwrap())
    }

    unsafe fn mmio_phys_to_virt(_: u64, _: usize) -> NonNull<u8> {
        unreachable!("no PCI here")
    }
}

type TestHal = SharingHal<Guest>;

/// An entropy device without entropy: fills each buffer with a pattern.
#[derive(Default)]
struct Device {
    status: DeviceStatus,
    /// Addresses of descriptors, available ring and used ring.
    queue: Option<[u64; 3]>,
    size: u16,
    served: u16,
}

impl Transport for Device {
    fn device_type(&self) -> DeviceType {
        DeviceType::EntropySource
    }

    fn read_device_features(&mut self) -> u64 {
        1 << 32 // VERSION_1
    }

    fn write_driver_features(&mut self, _: u64) {}

    fn max_queue_size(&mut self, _: u16) -> u32 {
        8
    }

    fn notify(&mut self, _: u16) {
        let machine = machine();
        let [descriptors, available, used] = self.queue.unwrap();
        while machine.host_read::<u16>(available + 2) != self.served {
            let slot = u64::from(self.served % self.size);
            let head: u16 = machine.host_read(available + 4 + 2 * slot);
            let descriptor = descriptors + 16 * u64::from(head);
            let address: u64 = machine.host_read(descriptor);
            let length: u32 = machine.host_read(descriptor + 8);
            let flags: u16 = machine.host_read(descriptor + 12);
            assert_eq!(flags, 2, "one buffer, for the device to write");
            let pattern: Vec<u8> = (0..length).map(|n| (n % 251) as u8 + 1).collect();
            machine.host_write(address, &pattern);
            let entry = [u32::from(head), length];
            machine.host_write(used + 4 + 8 * slot, entry.as_bytes());
            self.served = self.served.wrapping_add(1);
            machine.host_write(used + 2, &self.served.to_le_bytes());
        }
    }

    fn get_status(&self) -> DeviceStatus {
        self.status
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.status = status;
    }

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(&mut self, _: u16, size: u32, descriptors: u64, driver: u64, device: u64) {
        self.size = u16::try_from(size).unwrap();
        self.queue = Some([descriptors, driver, device]);
    }

    fn queue_unset(&mut self, _: u16) {
        self.queue = None;
    }

    fn queue_used(&mut self, _: u16) -> bool {
        self.queue.is_some()
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> virtio_drivers::Result<T> {
        Err(virtio_drivers::Error::ConfigSpaceMissing)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        _: usize,
        _: T,
    ) -> virtio_drivers::Result<()> {
        Err(virtio_drivers::Error::ConfigSpaceMissing)
    }
}

#[test]
fn a_driver_works_on_shared_memory_alone() {
    let machine = start(Quirks::default());
    let mut rng = VirtIORng::<TestHal, _>::new(Device::default()).unwrap();
    for bytes in [1_usize, 63, 64, 65, 4096, 9000] {
        let mut buffer = vec![0; bytes];
        for _ in 0..20 {
            buffer.fill(0);
            assert_eq!(rng.request_entropy(&mut buffer), Ok(bytes));
            assert!(buffer.iter().enumerate().all(|(n, b)| usize::from(*b) == n % 251 + 1));
        }
    }
    assert_eq!(machine.fake.shared().len(), PAGES, "shared once, as a whole");
    drop(rng);
    let pool = machine.pool.take().unwrap();
    let services = Services::discover(machine.fake, Dialect::Pkvm).unwrap();
    let (memory, _) = pool.reclaim(&services.mem_sharing().unwrap()).expect("all came back");
    assert_eq!((memory, machine.fake.shared().len()), (machine.memory, 0));
}

#[test]
fn buffers_are_copied_in_their_direction() {
    let machine = start(Quirks::default());
    let mut mine = *b"from the driver";
    let length = mine.len() as u64;
    for (direction, goes, comes) in [
        (BufferDirection::DriverToDevice, true, false),
        (BufferDirection::DeviceToDriver, false, true),
        (BufferDirection::Both, true, true),
    ] {
        mine = *b"from the driver";
        let buffer = NonNull::from(&mut mine[..]);
        // SAFETY: the buffer lives on, and nobody else has it.
        let ipa = unsafe { TestHal::share(buffer, direction) };
        let seen: [u8; 15] = machine.host_read(ipa);
        assert_eq!(seen == *b"from the driver", goes, "{direction:?}");
        machine.host_write(ipa, b"from the device");
        // SAFETY: as above; the address is that of the same buffer.
        unsafe { TestHal::unshare(ipa, buffer, direction) };
        assert_eq!(mine == *b"from the device", comes, "{direction:?}");
        let _ = machine.host_view(ipa, length);
    }
}

#[test]
fn queues_are_zeroed_pages_and_a_full_pool_is_an_error() {
    let machine = start(Quirks::default());
    let direction = BufferDirection::Both;
    let (ipa, va) = TestHal::dma_alloc(PAGES - 1, direction);
    assert_eq!((ipa % 4096, va.addr().get() % 4096), (0, 0));
    for offset in 0..(PAGES as u64 - 1) * 512 {
        assert_eq!(machine.host_read::<u64>(ipa + 8 * offset), 0);
    }
    assert_eq!(TestHal::dma_alloc(2, direction).0, 0, "one page is left");
    assert_eq!(TestHal::dma_alloc(usize::MAX, direction).0, 0);
    let (last, last_va) = TestHal::dma_alloc(1, direction);
    assert!(last != 0 && VirtIORng::<TestHal, _>::new(Device::default()).is_err());
    // SAFETY: allocated above, with these values.
    assert_eq!(unsafe { TestHal::dma_dealloc(last, last_va, 1) }, 0);
    // SAFETY: the pool finds out by itself that it is free already.
    assert_eq!(unsafe { TestHal::dma_dealloc(last, last_va, 1) }, -1);
    let pool = machine.pool.take().unwrap();
    let services = Services::discover(machine.fake, Dialect::Pkvm).unwrap();
    let (_, error) = pool.reclaim(&services.mem_sharing().unwrap()).expect_err("in use");
    assert_eq!(error, PoolError::InUse);
    assert_eq!(machine.fake.shared().len(), PAGES, "nothing was taken from under the queue");
}

#[test]
#[should_panic(expected = "no room for 65537 bytes")]
fn a_buffer_larger_than_the_pool_is_not_forgotten() {
    let _ = start(Quirks::default());
    let mut buffer = vec![0; PAGES * PAGE_SIZE + 1];
    // SAFETY: the buffer lives on, and nobody else has it.
    let _ = unsafe { TestHal::share(NonNull::from(&mut buffer[..]), BufferDirection::Both) };
}

#[test]
fn sharing_goes_in_ranges_and_all_or_nothing() {
    for (share_limit, calls) in [(None, 32), (Some(5), 8), (Some(1000), 2)] {
        let (fake, services) = found(Quirks { share_limit, ..Quirks::default() });
        let sharing = services.mem_sharing().unwrap();
        let before = fake.calls().len();
        sharing.share_all(RAM, 16).unwrap();
        assert_eq!(fake.shared().len(), 16);
        sharing.unshare_all(RAM, 16).unwrap();
        assert_eq!(fake.shared(), []);
        // Each call asks for the granule first.
        assert_eq!(fake.calls().len() - before, calls + 2);

        sharing.share(RAM + 0x5000).unwrap();
        let refused = sharing.share_all(RAM, 16);
        assert!(matches!(refused, Err(Error::InvalidParameter(_))), "{refused:?}");
        assert_eq!(fake.shared(), [RAM + 0x5000], "only what was shared before");
        for (base, count) in [(RAM, 0), (u64::MAX - 4095, 2), (0, u64::MAX)] {
            assert!(matches!(sharing.share_all(base, count), Err(Error::Region { .. })));
            assert!(matches!(sharing.unshare_all(base, count), Err(Error::Region { .. })));
        }
    }
}

#[test]
fn memory_that_makes_no_pool_is_refused_and_not_shared() {
    let (fake, services) = found(Quirks::default());
    let sharing = services.mem_sharing().unwrap();
    let (good, _) = memory(2);
    for (bad, words) in [
        (PoolMemory { ipa: 0, ..good }, 2),
        (PoolMemory { ipa: RAM + 8, ..good }, 2),
        (PoolMemory { ipa: u64::MAX - 4095, ..good }, 2),
        (PoolMemory { bytes: 0, ..good }, 0),
        (PoolMemory { bytes: 4097, ..good }, 2),
        (good, 1),
    ] {
        let words = || Box::leak(vec![0; words].into_boxed_slice());
        // SAFETY: no pool comes of it.
        let shared = unsafe { Pool::shared(&sharing, bad, words()) };
        assert_eq!(shared.err(), Some(PoolError::Memory));
        // SAFETY: no pool comes of it.
        let unshared = unsafe { Pool::unshared(bad, words()) };
        assert_eq!(unshared.err(), Some(PoolError::Memory));
    }
    let words = Box::leak(vec![0; 2].into_boxed_slice());
    // SAFETY: the memory was allocated for the pool and is never freed.
    let pool = unsafe { Pool::unshared(good, words) }.unwrap();
    assert!(pool.reclaim(&sharing).is_ok());
    assert_eq!(fake.shared(), []);
}
