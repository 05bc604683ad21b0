# Draws the table of bench/scale: gnuplot -e "table='scale.csv'" scale.gp > scaling.svg
set terminal svg size 980,480 font "system-ui,sans-serif,13" background rgb "white"
set datafile separator ","
set datafile missing NaN
set logscale xy
set format y "%g"
set xtics (1, 2, 4, 8, 16, 64)
set xrange [0.9:71]
set xlabel "GPUs, eight to a host"
set grid xtics ytics lc rgb "#d0d7de"
set key top right spacing 1.1
set style line 1 lw 2 pt 7 ps 0.6

# A column of the rows of `window` at 4 bits on H100; others are not drawn.
rows(model, length, from) = strcol(1) eq "H100 SXM" && strcol(2) eq model && strcol(4) eq "window" && \
    column(5) == 4 && column(6) == length ? column(from) : NaN

set multiplot layout 1,2 title "Predicted from counts and data sheets, not measured: H100, window, 4 bits" font ",15"
set ylabel "seconds to compress"
set title "Compressing; broken: the search alone"
plot table using 3:(rows("LLaMA2-70B", 16, 14)) with linespoints ls 1 lc rgb "#cf222e" title "70B, L = 16", \
    "" using 3:(rows("LLaMA2-70B", 16, 11)) with lines dt 2 lc rgb "#cf222e" notitle, \
    "" using 3:(rows("LLaMA2-70B", 12, 14)) with linespoints ls 1 lc rgb "#0969da" title "70B, L = 12", \
    "" using 3:(rows("LLaMA2-70B", 12, 11)) with lines dt 2 lc rgb "#0969da" notitle, \
    "" using 3:(rows("LLaMA2-7B", 12, 14)) with linespoints ls 1 lc rgb "#1a7f37" title "7B, L = 12", \
    "" using 3:(rows("LLaMA2-7B", 12, 11)) with lines dt 2 lc rgb "#1a7f37" notitle
set ylabel "milliseconds for a token"
set title "Running, at position 4096; broken: --split layers"
plot table using 3:(rows("LLaMA2-70B", 12, 20)) with linespoints ls 1 lc rgb "#cf222e" title "70B", \
    "" using 3:(rows("LLaMA2-70B", 12, 21)) with lines dt 2 lc rgb "#cf222e" notitle, \
    "" using 3:(rows("LLaMA2-13B", 12, 20)) with linespoints ls 1 lc rgb "#0969da" title "13B", \
    "" using 3:(rows("LLaMA2-13B", 12, 21)) with lines dt 2 lc rgb "#0969da" notitle, \
    "" using 3:(rows("LLaMA2-7B", 12, 20)) with linespoints ls 1 lc rgb "#1a7f37" title "7B", \
    "" using 3:(rows("LLaMA2-7B", 12, 21)) with lines dt 2 lc rgb "#1a7f37" notitle
unset multiplot
