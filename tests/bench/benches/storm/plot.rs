//! The plot of the growth: calls on the left, seconds on the right. Each varied thing has its own colour.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::growth::Curve;

const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// Writes the plot.
pub fn write(path: &Path, curves: &[Curve]) -> Result<()> {
    draw(path, curves).map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

fn draw(path: &Path, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    let canvas = SVGBackend::new(path, (1_000, 420)).into_drawing_area();
    canvas.fill(&WHITE)?;
    let (left, right) = canvas.split_horizontally(500);
    let calls: Vec<Line<'_>> = curves
        .iter()
        .map(|curve| {
            (
                curve.what,
                curve.calls().map(|(x, y)| (x as f64, y as f64)).collect(),
            )
        })
        .collect();
    let seconds: Vec<Line<'_>> = curves
        .iter()
        .map(|curve| (curve.what, curve.seconds().map(|(x, y)| (x as f64, y)).collect()))
        .collect();
    panel(&left, "AWS calls of the three functions", &calls)?;
    panel(&right, "Seconds until everything was done", &seconds)?;
    canvas.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    lines: &[Line<'_>],
) -> Result<(), Box<dyn std::error::Error>> {
    let values = || {
        lines
            .iter()
            .flat_map(|(_, points)| points.iter().map(|(_, y)| *y))
    };
    let lowest = values().fold(f64::INFINITY, f64::min).clamp(0.1, 10.0);
    let highest = values().fold(lowest * 10.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(
            (1f64..6_000f64).log_scale(),
            (lowest * 0.7..highest * 3.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("how many of it")
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| {
            if *y < 1.0 {
                format!("{y:.1}")
            } else {
                format!("{y:.0}")
            }
        })
        .label_style(("sans-serif", 13))
        .draw()?;
    for ((what, points), colour) in lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(4))?
            .label(*what)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
}
