use super::{NONE, NodeId, segments::same};

/// The children of all nodes by literal segment: one open hash table.
///
/// Its keys come from the profile, never from a request, and it is filled once; so its longest
/// probe is known when it is built and no request can lengthen it.
#[derive(Debug)]
pub(super) struct Literals {
    /// A power of two, at most half full.
    slots: Vec<Slot>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The half of the hash that does not say where it is: tells most others apart unread.
    tag: u32,
    parent: NodeId,
    child: NodeId,
    start: u32,
    len: u32,
}

impl Literals {
    pub(super) fn new<'a>(
        children: impl ExactSizeIterator<Item = (NodeId, &'a str, NodeId)>,
    ) -> Self {
        let empty = Slot {
            tag: 0,
            parent: NONE,
            child: NONE,
            start: 0,
            len: 0,
        };
        let mut table = Self {
            slots: vec![empty; (children.len() * 2).next_power_of_two().max(2)],
            text: Vec::new(),
        };
        for (parent, segment, child) in children {
            let hash = hash(parent, segment.as_bytes());
            let mut at = table.start(hash);
            while table.slots[at].parent != NONE {
                at = (at + 1) & (table.slots.len() - 1);
            }
            table.slots[at] = Slot {
                tag: tag(hash),
                parent,
                child,
                start: table.text.len() as u32,
                len: segment.len() as u32,
            };
            table.text.extend_from_slice(segment.as_bytes());
        }
        table
    }

    pub(super) fn get(&self, parent: NodeId, segment: &[u8]) -> Option<NodeId> {
        let hash = hash(parent, segment);
        let mut at = self.start(hash);
        loop {
            let slot = &self.slots[at];
            if slot.tag == tag(hash)
                && slot.parent == parent
                && same(
                    &self.text[slot.start as usize..][..slot.len as usize],
                    segment,
                )
            {
                return Some(slot.child);
            }
            // At least half of the slots are empty, so the probe ends.
            if slot.parent == NONE {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    fn start(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A folded multiplication over eight bytes at a time.
fn hash(parent: NodeId, bytes: &[u8]) -> u64 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xc2b2_ae3d_27d4_eb4f;

    let start = A ^ u64::from(parent);
    let (chunks, _) = bytes.as_chunks::<8>();
    let state = chunks.iter().fold(start, |state, chunk| {
        fold(state ^ u64::from_le_bytes(*chunk), B)
    });
    // The last bytes, if need be together with some that were seen already.
    let last = if let Some(last) = bytes.last_chunk::<8>() {
        u64::from_le_bytes(*last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
    } else {
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte))
    };
    fold(state ^ last, A ^ (bytes.len() as u64))
}

fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}
