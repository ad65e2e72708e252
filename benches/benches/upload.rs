//! Memory of a long upload whose first try fails half way.

use allocation_counter::{AllocationInfo, measure};
use mesh_benches::upload::{FIRST_TRY, LENGTH, bare, retried};

fn main() {
    let gib = LENGTH >> 30;
    println!(
        "upload of {gib} GiB, the first try fails after {} KiB",
        FIRST_TRY >> 10
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
