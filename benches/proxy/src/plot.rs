//! Bars: a group for each scenario, a bar for each peer.

use crate::{
    peers::Peer,
    rounds::{Results, Seen},
    scenario::SCENARIOS,
};
use plotters::prelude::{
    ChartBuilder, Color as _, IntoDrawingArea as _, IntoFont as _, RGBColor, Rectangle, SVGBackend,
    SeriesLabelPosition, WHITE,
};

const COLOURS: [RGBColor; 6] = [
    RGBColor(0x0b, 0x6e, 0x4f),
    RGBColor(0x6b, 0xbf, 0x9c),
    RGBColor(0x9a, 0x9a, 0x9a),
    RGBColor(0x2a, 0x6f, 0xdb),
    RGBColor(0xe0, 0x9f, 0x3e),
    RGBColor(0xb2, 0x3a, 0x48),
];

/// The scenarios whose figures are of one size.
const SHOWN: [usize; 4] = [1, 2, 3, 4];

/// Draws the figure that `of` takes into `file`.
pub(crate) fn bars(
    file: &str,
    title: &str,
    results: &Results,
    of: impl Fn(&Seen) -> f64,
) -> anyhow::Result<()> {
    let figure = |scenario: usize, peer: Peer| results.seen.get(&(scenario, peer)).map(&of);
    let all = SHOWN
        .iter()
        .flat_map(|scenario| Peer::ALL.map(|peer| figure(*scenario, peer)));
    // The names of the peers have their place above the bars.
    let top = all.flatten().fold(1.0, f64::max) * 1.4;
    let area = SVGBackend::new(file, (1000, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 22).into_font())
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..SHOWN.len() as f64, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_labels(SHOWN.len() * 2 + 1)
        .x_label_formatter(&|x| {
            // The middle of each group has its name.
            let middle = (x.fract() - 0.5).abs() < 0.01;
            let scenario = SHOWN.get(*x as usize).filter(|_| middle);
            scenario.map_or(String::new(), |scenario| {
                SCENARIOS[*scenario].name.to_owned()
            })
        })
        .label_style(("sans-serif", 14))
        .draw()?;
    for (number, (peer, colour)) in Peer::ALL.into_iter().zip(COLOURS).enumerate() {
        let bars = SHOWN.iter().enumerate().filter_map(|(group, scenario)| {
            let height = figure(*scenario, peer)?;
            let left = group as f64 + 0.1 + number as f64 * 0.8 / Peer::ALL.len() as f64;
            let right = left + 0.72 / Peer::ALL.len() as f64;
            Some(Rectangle::new(
                [(left, 0.0), (right, height)],
                colour.filled(),
            ))
        });
        chart
            .draw_series(bars)?
            .label(peer.name())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    Ok(())
}
