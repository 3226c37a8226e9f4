//! Each part of an event's way, by size of the body: `cargo bench -p bench`.

use bench::bodies::{KINDS, Library, Size};
use bench::floors::parts::{Part, Subject};
use divan::Bencher;

fn main() {
    divan::main();
}

fn cases() -> impl Iterator<Item = (Part, &'static str)> {
    Part::ALL.into_iter().flat_map(|part| Size::PLAIN.map(|size| (part, size.word())))
}

#[divan::bench(args = cases().map(|(part, size)| Case(part, size)))]
fn part(bencher: Bencher, Case(part, size): &Case) {
    let size = Size::of_word(size).expect("the cases have sizes");
    let library = Library::new("key_made_up");
    let template = library.of(size, 0);
    let mut subject = Subject::new(KINDS[template.kind], template.body(0));
    bencher.bench_local(|| subject.run(*part));
}

/// A part and a size, as divan prints them.
struct Case(Part, &'static str);

impl std::fmt::Display for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}, {}", self.0.name(), Size::of_word(self.1).map_or("", Size::name))
    }
}
