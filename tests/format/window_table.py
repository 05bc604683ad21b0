"""The constants of `window` in docs/FORMAT.md, section 4.2, against those that the program is made with.

window_table.py TEXT HEADER            do both say the same? Exit 1 names the first difference
window_table.py TEXT HEADER --write    puts the header's into the text
window_table.py TEXT --list            those of the text, as initialisers in C: {k, L, {a, b, c}},
window_table.py TEXT --gaps            how evenly the bits that leave the window move the places after them: the largest
                                       gap that j A / 2^L mod 1, j = 0 .. 2^k - 1, leave on the circle, times 2^k
                                       (1: evenly); how many per cent of all odd A are as even (docs/method.md)
"""
import re
import sys

MARK = '<!-- Written by tests/format/window_table.py. -->\n'
CODES = [(k, length) for k in (1, 2, 3, 4, 5, 6, 8) for length in range(8, 17)]


def of_header(path):
    """(k, L) -> [A, coefficient...], as text. The header has A 2^(16-L) mod 2^16."""
    with open(path) as file:
        rows = [re.split(r'\s*,\s*', row.strip()) for row in re.findall(r'^\s*\{([^{}]*)\},', file.read(), re.M)]
    table = {}
    for k, length, multiplier, *coefficients in rows:
        shift = 16 - int(length)
        if int(multiplier) % (2 << shift) != 1 << shift:
            sys.exit('%s: k %s, L %s: A is not odd' % (path, k, length))
        table[int(k), int(length)] = [str(int(multiplier) >> shift)] + coefficients
    return table


def of_text(path):
    with open(path, encoding='utf-8') as file:
        before, _, after = file.read().partition(MARK)
    lines = re.match(r'(?:\n|    .*\n)*', after).group()
    rows = [line.split() for line in lines.split('\n') if line.strip()][1:]
    return {(int(k), int(length)): rest for k, length, *rest in rows}, before, after[len(lines):]


def lay_out(table):
    """The table as lines of the text."""
    names = ['k', 'L', 'A'] + [chr(ord('a') + i) for i in range(len(table[CODES[0]]) - 1)]
    rows = [names] + [[str(k), str(length)] + table[k, length] for k, length in CODES]
    widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
    return ''.join('    ' + '  '.join(cell.rjust(width) for cell, width in zip(row, widths)) + '\n' for row in rows)


def gap(k, length, multiplier):
    places = sorted(j * multiplier % (1 << length) for j in range(1 << k))
    behind = places[1:] + [places[0] + (1 << length)]
    return max(after - before for before, after in zip(places, behind)) / (1 << length - k)


def print_gaps(table):
    for (k, length), (multiplier, *_) in table.items():
        own = gap(k, length, int(multiplier))
        others = [gap(k, length, other) for other in range(1, 1 << length, 1 << max(1, length - 10))]
        print('k %d  L %2d  A %5s  gap %.2f  as even: %3.0f %%' %
              (k, length, multiplier, own, 100 * sum(other <= own for other in others) / len(others)))


def main():
    text, what = sys.argv[1:3]
    table, before, after = of_text(text)
    if what == '--list':
        for (k, length), (_, *coefficients) in table.items():
            print('{%d, %d, {%s}},' % (k, length, ', '.join(coefficients)))
        return
    if what == '--gaps':
        return print_gaps(table)
    header = of_header(what)
    if set(header) != set(CODES):
        sys.exit('%s: not every k and L once' % what)
    if '--write' in sys.argv[3:]:
        with open(text, 'w', encoding='utf-8') as file:
            file.write(before + MARK + '\n' + lay_out(header) + '\n' + after)
        return
    for code in CODES:
        if table.get(code) != header[code]:
            sys.exit('k %d, L %d: the text says %s, the program %s' % (*code, table.get(code), header[code]))
    print('%d constants agree' % len(table))


main()
