# Draws the table of bench/quality.sh: gnuplot -e "table='quality.csv'" quality.gp > quality.svg
set terminal svg size 900,520 font "system-ui,sans-serif,13" background rgb "white"
set datafile separator ","
set datafile missing NaN
set title "SmolLM2-135M, dithered: KL divergence on WikiText-2 against stored bits per weight" font ",15"
set xlabel "bits per weight of the linear layers, everything stored"
set ylabel "KL divergence, nats: lower is better"
set logscale y
set format y "%g"
set xrange [1.8:8.7]
set grid xtics ytics lc rgb "#d0d7de"
set key outside right top spacing 1.2

# The KL divergence of the rows of one series; others are not drawn. Columns: model, method, settings, moments, bits,
# perplexity, its error, KL.
kl(method, setting, moments) = strcol(1) eq "smollm2" && strcol(2) eq method && strstrt(strcol(3), setting) && \
    strcol(4) eq moments ? column(8) : NaN

set style line 1 lw 2 pt 7 ps 0.7
plot table using 5:(kl("window", "L=12", "file")) with linespoints ls 1 lc rgb "#0969da" title "window, L 12, measured", \
    "" using 5:(kl("window", "L=12", "self")) with linespoints ls 1 lc rgb "#54aeff" title "window, L 12, self", \
    "" using 5:(kl("window", "L=12", "weights")) with linespoints ls 1 lc rgb "#8250df" title "window, L 12, weights", \
    "" using 5:(kl("window", "L=12", "none")) with linespoints ls 1 lc rgb "#bf3989" title "window, L 12, none", \
    "" using 5:(kl("window", "L=12", "no columns")) with linespoints ls 1 lc rgb "#cf222e" title "window, L 12, no columns", \
    "" using 5:(kl("window", "L=16", "file")) with linespoints ls 1 dt 2 lc rgb "#0969da" title "window, L 16, measured", \
    "" using 5:(kl("window", "L=16", "weights")) with linespoints ls 1 dt 2 lc rgb "#8250df" title "window, L 16, weights", \
    "" using 5:(kl("int4", "", "")) with points pt 5 lc rgb "#9a6700" title "int4, groups of 128 and 32", \
    "" using 5:(kl("int8", "", "")) with points pt 4 lc rgb "#9a6700" title "int8, groups of 128 and 32", \
    "" using 5:(kl("nf4", "", "")) with points pt 9 ps 1.2 lc rgb "#1a7f37" title "NF4, groups of 64", \
    "" using 5:(kl("pair", "side=0.1", "")) with points pt 13 ps 1.2 lc rgb "#24292f" title "pair, as published", \
    "" using 5:(kl("pair", "side=auto", "")) with points pt 12 ps 1.2 lc rgb "#24292f" title "pair, side chosen"
