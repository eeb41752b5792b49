mod change;
mod hostile;
mod life;
mod output;
mod quota;
mod shapes;
mod support;
