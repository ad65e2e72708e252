//! Memory of a long upload whose first attempt fails half way.

use allocation_counter::{AllocationInfo, measure};
use mesh_benches::upload::{FIRST_ATTEMPT, LENGTH, bare, retried};

fn main() {
    let gib = LENGTH >> 30;
    println!(
        "upload of {gib} GiB, the first attempt fails after {} KiB",
        FIRST_ATTEMPT >> 10
    );
    let report = |name, upload: fn() -> usize| {
        let mut taken = 0;
        let info: AllocationInfo = measure(|| taken = upload());
        let peak = info.bytes_max / 1024;
        println!("  {name:30} peak {peak:6} KiB, {taken} bytes arrived");
    };
    report("baseline: bare service", bare);
    report("retry", retried);
}
