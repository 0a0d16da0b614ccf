\\ Checks a table of elliptic curves against the conjecture of Birch and Swinnerton-Dyer.
\\ Reads /in/curves: a vector of [conductor, [label, coefficients, generators], ...]. Of each isogeny class it takes the
\\ first curve and finds the analytic rank and the order of the Tate-Shafarevich group that the conjecture predicts.
\\ Writes to /out/results a line each: label, rank, order.

firstOfClass(label) =
{
  my(letters = Vec(label));
  letters[#letters] == "1" && !setsearch(Set(Vec("0123456789")), letters[#letters - 1]);
}

check(label, coefficients, generators) =
{
  my(E = ellinit(coefficients), [rank, value] = ellanalyticrank(E));
  my(regulator = if (#generators, matdet(ellheightmatrix(E, generators)), 1));
  my(order = value / rank! / (ellbsd(E) * regulator), whole = round(order));
  if (rank != #generators, error(label, " has analytic rank ", rank, " and ", #generators, " generators"));
  if (abs(order - whole) > 1e-15 || !issquare(whole), error(label, " has a group of order ", order));
  Str(label, " ", rank, " ", whole);
}

verify(input, output) =
{
  foreach (read(input), entry,
    for (place = 2, #entry,
      my([label, coefficients, generators] = entry[place]);
      if (firstOfClass(label), write(output, check(label, coefficients, generators)))
    )
  );
}

verify("/in/curves", "/out/results");
quit
