// What the programs of this folder share. It is compiled once, ahead of them.
#pragma once

#include <weft/weft.hpp>

#include <memory>
#include <string>

using namespace std::chrono_literals;

weft::task<int> answer(int n);
weft::task<> by_reference(int& n);

template <class T>
void use(const T&) {}
