//! The Merkle tree of RFC 6962, as far as a log needs it that only grows.
//!
//! Of a tree of any size only its frontier is kept: the roots of the full trees that make it up, one
//! for each bit of its size. From it follows the root, and with it goes the next leaf.

use std::fmt;

use sha2::{Digest, Sha256};

/// A SHA-256 hash: of a leaf, of a node, of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl Hash {
    /// Reads 32 bytes; none if there are more or less.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The hash of a leaf with this content.
    pub fn of_leaf(content: &[u8]) -> Self {
        Self(Sha256::new_with_prefix([0]).chain_update(content).finalize().into())
    }

    pub(super) fn of_node(left: Self, right: Self) -> Self {
        let hasher = Sha256::new_with_prefix([1]).chain_update(left.0).chain_update(right.0);
        Self(hasher.finalize().into())
    }
}

/// A tree that leaves are added to. It holds as many hashes as its size has bits that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The roots of the full trees, the largest first.
    nodes: Vec<Hash>,
}

impl Frontier {
    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf behind the last.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = Hash::of_node(left, node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// Adds a full tree of so many levels above its leaves, as all its leaves together would; none
    /// where it does not begin where such a tree may.
    pub(crate) fn push_tree(&mut self, height: u32, root: Hash) -> Option<()> {
        let leaves = 1_u64.checked_shl(height)?;
        if !self.size.is_multiple_of(leaves) {
            return None;
        }
        let mut node = root;
        for _ in 0..(self.size >> height).trailing_ones() {
            node = Hash::of_node(self.nodes.pop()?, node);
        }
        self.nodes.push(node);
        self.size = self.size.checked_add(leaves)?;
        Some(())
    }

    /// The root of the whole.
    pub fn root(&self) -> Hash {
        let nodes = self.nodes.iter().rev().copied();
        nodes
            .reduce(|right, left| Hash::of_node(left, right))
            .unwrap_or_else(|| Hash(Sha256::digest([]).into()))
    }

    /// The frontier as it is stored beside its size.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.nodes.iter().flat_map(|node| node.0).collect()
    }

    /// Reads it again; none if it does not fit the size.
    pub(crate) fn read(size: u64, bytes: &[u8]) -> Option<Self> {
        let (nodes, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && nodes.len() == size.count_ones() as usize;
        fits.then(|| Self { size, nodes: nodes.iter().copied().map(Hash).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves and roots that certificate-transparency's own tests use.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().as_chunks::<2>().0.iter();
        pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The root as RFC 6962 defines it, split at the greatest power of two below the size.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash(Sha256::digest([]).into()),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                Hash::of_node(by_definition(left), by_definition(right))
            }
        }
    }

    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        let mut tree = Frontier::default();
        assert_eq!(tree.root().to_string(), ROOTS[0]);
        for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
            tree.push(Hash::of_leaf(&bytes(leaf)));
            assert_eq!(tree.root().to_string(), *root);
        }
    }

    #[test]
    fn full_trees_give_the_same_root_as_their_leaves() {
        let leaves: Vec<Hash> = (0..300_u32).map(|n| Hash::of_leaf(&n.to_be_bytes())).collect();
        for step in 1..40 {
            let (mut tree, mut at) = (Frontier::default(), 0);
            while at < leaves.len() {
                // As high as it may be there, but for each few leaves.
                let height = if at % step == 0 { 0 } else { at.trailing_zeros() };
                let height = height.min((leaves.len() - at).ilog2());
                let next = at + (1 << height);
                assert_eq!(tree.push_tree(height, by_definition(&leaves[at..next])), Some(()));
                at = next;
                assert_eq!(tree.root(), by_definition(&leaves[..at]), "{step} {at}");
            }
        }
        let mut tree = Frontier::default();
        tree.push(leaves[0]);
        assert_eq!(tree.push_tree(1, leaves[1]), None, "begins in the middle of another");
        assert_eq!(tree.push_tree(64, leaves[1]), None);
    }

    #[test]
    fn the_frontier_gives_the_root_of_the_definition_at_every_size() {
        let leaves: Vec<Hash> = (0..300_u32).map(|n| Hash::of_leaf(&n.to_be_bytes())).collect();
        let mut tree = Frontier::default();
        for size in 0..leaves.len() {
            assert_eq!(tree.root(), by_definition(&leaves[..size]), "{size}");
            // As the sealer does that goes on where another stopped.
            tree = Frontier::read(tree.size(), &tree.to_bytes()).unwrap();
            tree.push(leaves[size]);
        }
        assert_eq!(Frontier::read(299, &tree.to_bytes()), None);
        assert_eq!(Frontier::read(300, &tree.to_bytes()[1..]), None);
    }
}
